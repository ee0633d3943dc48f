//! What the worker's own code pipes into streams, from sources that may break off or fall silent.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::client::message;
use super::desk::Desk;
use super::own::is_at;
use super::workload::Source;
use super::world::World;
use crate::streams::{End, Pipe, Streams, Will};

impl World {
    /// Pipes so many pieces, one each `pace` milliseconds at the latest.
    pub async fn own_pipe(
        &self,
        streams: &Streams<Desk>,
        n: usize,
        path: &'static str,
        (count, pace, source): (usize, u64, Source),
    ) {
        let is_json = self.is_json(path);
        let stream = self.own_stream(streams, path, is_json);
        let texts: Vec<_> = (0..count).map(|k| message(n, k, 4, is_json)).collect();
        let clock = self.executor().clone();
        let pieces = stream::iter(texts.clone()).then(move |text| {
            let clock = clock.clone();
            async move {
                clock.pause(pace).await;
                Ok(text)
            }
        });
        let pieces = match source {
            Source::Ends => pieces.boxed_local(),
            Source::Breaks => {
                let error = stream::iter([Err("it breaks off")]);
                pieces.chain(error).boxed_local()
            }
            Source::Hangs => pieces.chain(stream::pending()).boxed_local(),
        };
        let will = Will::after(Duration::from_secs(30)).bytes(message(n, 98, 3, is_json));
        let pipe = Pipe::new().patience(Duration::from_secs(5)).will(will);
        let outcome = stream.pipe(pieces, pipe).await;
        self.told("pipe", &outcome);
        let found = self.model(|model| {
            let lives = model.lives.values().filter(|life| is_at(life, path));
            let contents: Vec<_> = lives.map(|life| life.items.concat()).collect();
            let places = |text: &Vec<u8>| {
                let places = contents.iter().map(|all| {
                    let windows = all.windows(text.len()).enumerate();
                    let places = windows.filter(|(_, at)| at == text).map(|(at, _)| at);
                    places.collect::<Vec<_>>()
                });
                places.collect::<Vec<_>>().concat()
            };
            texts.iter().map(places).collect::<Vec<_>>()
        });
        let is_once = found.iter().all(|places| match &outcome {
            Ok(_) => places.len() == 1,
            Err(_) => places.len() <= 1,
        });
        // What one has not got, none behind it has.
        let is_gapless = found.windows(2).all(|pair| pair[0].len() >= pair[1].len());
        self.expect(is_once && is_gapless, || {
            format!("pieces of {n} are at {found:?} in {path} after {outcome:?}")
        });
        if let Ok(piped) = outcome {
            let end = match source {
                Source::Ends => End::Done,
                Source::Breaks => End::BrokeOff("it breaks off".into()),
                Source::Hangs => End::Silent,
            };
            let is_all = piped.end == end && piped.closed && piped.pieces == count as u64;
            self.expect(is_all, || format!("{piped:?} of {count} for {source:?}"));
        }
    }
}

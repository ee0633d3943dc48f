//! The `stream` commands, against servers that do what real ones do seldom.

mod common;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use common::{
    Place, Run,
    stand_in::{Sent, StandIn, said},
};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const TAIL: (&str, &str) = ("Stream-Next-Offset", "0_3");
const EVENTS: (&str, &str) = ("Content-Type", "text/event-stream");

/// Runs a `stream` command in a folder that is no project.
fn run(place: &Place, server: &StandIn, args: &[&str]) -> Run {
    let mut command = place.command(&[&["stream"], args].concat());
    command
        .env("STREAM_URL", &server.url)
        .env_remove("STREAM_AUTH")
        // What does not end by itself fails.
        .timeout(Duration::from_secs(60));
    Run::of(command)
}

/// A server that answers a HEAD, and all else like this, by how often it was asked before.
fn server(answer: impl Fn(&Sent, usize) -> Vec<u8> + Send + 'static) -> StandIn {
    let asked = AtomicUsize::new(0);
    StandIn::saying(move |sent| match sent.method.as_str() {
        "HEAD" => said(200, &[JSON, TAIL], ""),
        _ => answer(sent, asked.fetch_add(1, Ordering::SeqCst)),
    })
}

fn posts(server: &StandIn) -> Vec<Sent> {
    let sent = server.sent();
    sent.into_iter()
        .filter(|sent| sent.method == "POST")
        .collect()
}

#[test]
fn an_append_of_which_nobody_knows_is_sent_once() {
    let place = Place::new();
    // No answer at all, and one that says that nobody knows.
    for answer in [Vec::new(), said(503, &[("Retry-After", "0")], "")] {
        let server = server(move |_, _| answer.clone());
        let says = [
            "0 messages were appended before, and nobody knows whether 2 messages more were",
            "with --producer it does no harm to run the same again",
        ];
        run(&place, &server, &["append", "s", "1", "2"]).fails(1, &says);
        assert_eq!(posts(&server).len(), 1);
    }
    // What was surely not taken is sent again.
    let server = server(|_, asked| match asked {
        0 => said(429, &[("Retry-After", "0")], ""),
        _ => said(204, &[TAIL], ""),
    });
    run(&place, &server, &["append", "s", "1"]).succeeds();
    assert_eq!(posts(&server).len(), 2);
}

#[test]
fn an_append_of_a_producer_is_sent_until_it_is_answered() {
    let place = Place::new();
    let server = server(|_, asked| match asked {
        0 => Vec::new(),
        1 => said(503, &[("Retry-After", "0")], ""),
        2 => said(204, &[TAIL, ("Producer-Seq", "8")], ""),
        _ => said(200, &[TAIL], ""),
    });
    let args = [
        "append",
        "s",
        "7",
        "8",
        "9",
        "--producer",
        "p",
        "--epoch",
        "2",
        "--seq",
        "7",
    ];
    let done = run(&place, &server, &[&args[..], &["--json"]].concat())
        .succeeds()
        .json();
    assert_eq!(
        (&done["appended"], &done["appendedBefore"]),
        (&1.into(), &2.into())
    );
    let sent: Vec<_> = posts(&server)
        .iter()
        .map(|sent| {
            let header = |name| sent.header(name).unwrap().to_owned();
            let who = [
                header("producer-id"),
                header("producer-epoch"),
                header("producer-seq"),
            ];
            (who.join(" "), sent.body.to_string())
        })
        .collect();
    // The server has said that it has the eighth as well: only the ninth is sent.
    let stamped = |seq: u32, body: &str| (format!("p 2 {seq}"), body.to_owned());
    assert_eq!(
        sent,
        [
            stamped(7, "[7]"),
            stamped(7, "[7]"),
            stamped(7, "[7]"),
            stamped(9, "[9]")
        ]
    );
}

#[test]
fn what_is_read_is_asked_for_again_when_the_answer_breaks_off() {
    let place = Place::new();
    let server = server(|_, asked| {
        let mut answer = said(200, &[JSON, TAIL, ("Stream-Up-To-Date", "true")], "[1,2]");
        if asked == 0 {
            answer.truncate(answer.len() - 2);
        }
        answer
    });
    let read = run(&place, &server, &["read", "s"]).succeeds();
    assert_eq!(read.stdout, "1\n2\n");
    assert_eq!(server.sent().len(), 2);
}

#[test]
fn what_was_cut_before_its_offset_came_is_shown_once() {
    let place = Place::new();
    let server = server(|sent, asked| {
        let control =
            |rest: &str| format!("event: control\ndata: {{\"streamNextOffset\":{rest}}}\n\n");
        let data = |text: &str| format!("event: data\ndata: [{text}]\n\n");
        let body = match (asked, sent.target.as_str()) {
            (0, "/v1/stream/s?live=sse&offset=-1") => {
                format!(
                    "{}{}{}",
                    data("1"),
                    control("\"0_1\",\"streamCursor\":\"7\""),
                    data("2")
                )
            }
            (1, "/v1/stream/s?cursor=7&live=sse&offset=0_1") => {
                let cut = control("\"0_3\"").replace("}\n\n", "");
                format!("{}{}{cut}", data("2"), data("3"))
            }
            (2, "/v1/stream/s?cursor=7&live=sse&offset=0_1") => {
                format!(
                    "{}{}",
                    data("2,3"),
                    control("\"0_3\",\"streamClosed\":true")
                )
            }
            _ => panic!("{asked}: {}", sent.line()),
        };
        said(200, &[EVENTS], &body)
    });
    let followed = run(&place, &server, &["follow", "s"]).succeeds();
    assert_eq!(followed.stdout, "1\n2\n3\n");
    assert!(
        followed.stderr.contains("trying again"),
        "{}",
        followed.stderr
    );
}

#[test]
fn a_server_without_events_is_followed_by_long_poll() {
    let place = Place::new();
    let server = server(|sent, asked| match sent.target.as_str() {
        "/v1/stream/s?live=sse&offset=-1" => said(400, &[], "unknown live mode"),
        "/v1/stream/s?live=long-poll&offset=-1" => said(
            200,
            &[JSON, ("Stream-Next-Offset", "0_1"), ("Stream-Cursor", "4")],
            "[1]",
        ),
        "/v1/stream/s?cursor=4&live=long-poll&offset=0_1" if asked == 2 => {
            said(503, &[("Retry-After", "0")], "")
        }
        "/v1/stream/s?cursor=4&live=long-poll&offset=0_1" => said(
            204,
            &[("Stream-Next-Offset", "0_1"), ("Stream-Closed", "TRUE")],
            "",
        ),
        target => panic!("{target}"),
    });
    assert_eq!(
        run(&place, &server, &["follow", "s"]).succeeds().stdout,
        "1\n"
    );
    let insisted = ["follow", "s", "--live", "sse"];
    run(&place, &server, &insisted).fails(1, &["status 400: unknown live mode"]);
}

#[test]
fn what_does_not_pass_by_itself_ends_a_follower() {
    let place = Place::new();
    for (status, headers, words) in [
        (404, &[][..], "there is no such stream"),
        (
            410,
            &[("Stream-Earliest-Offset", "0_2")][..],
            "help: --from 0_2 or --from start",
        ),
        (401, &[][..], "STREAM_AUTH says who asks"),
    ] {
        let server = server(move |_, _| said(status, headers, ""));
        run(&place, &server, &["follow", "s"]).fails(1, &[words]);
    }
}

#[test]
fn a_server_is_named_as_other_programs_take_it_and_a_token_is_no_argument() {
    let place = Place::new();
    let server = server(|_, _| said(200, &[JSON, TAIL, ("Stream-Up-To-Date", "true")], "[]"));
    let read = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = place.command(&[&["stream", "read", "a b/c"], args].concat());
        command.env_remove("STREAM_URL").env_remove("STREAM_AUTH");
        for (name, value) in variables {
            command.env(name, value);
        }
        Run::of(command)
    };
    let last = || {
        let sent = server.sent().pop().unwrap();
        let who = sent.header("authorization").unwrap_or_default().to_owned();
        (sent.target, who)
    };
    let usual = "/v1/stream/a%20b/c?offset=-1".to_owned();

    read(&["--url", &server.url], &[]).succeeds();
    assert_eq!(last(), (usual.clone(), String::new()));
    let auth = ("STREAM_AUTH", "ApiKey 7");
    read(
        &[],
        &[("STREAM_URL", &format!("{}/v1/stream/", server.url)), auth],
    )
    .succeeds();
    assert_eq!(last(), (usual.clone(), "ApiKey 7".to_owned()));
    place.write("token", "from-a-file\n");
    let elsewhere = [("STREAM_URL", "http://127.0.0.1:9"), auth];
    let root = format!("{}/streams/x", server.url);
    read(&["--url", &root, "--token", "@token"], &elsewhere).succeeds();
    assert_eq!(
        last(),
        (
            "/streams/x/a%20b/c?offset=-1".to_owned(),
            "Bearer from-a-file".to_owned()
        )
    );
    read(
        &["--url", &server.url, "--token", "env:MINE"],
        &[("MINE", "mine")],
    )
    .succeeds();
    assert_eq!(last(), (usual, "Bearer mine".to_owned()));

    let unsafe_url = ["--url", "http://streams.example", "--token", "env:MINE"];
    read(&unsafe_url, &[("MINE", "mine")]).fails(1, &["in the clear"]);
    read(&[], &[]).fails(1, &["STREAM_URL"]);
    let unset = ["--url", &server.url, "--token", "env:NOBODY_SETS_IT"];
    read(&unset, &[]).fails(1, &["NOBODY_SETS_IT"]);
}

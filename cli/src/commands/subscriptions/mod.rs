//! `subscriptions`: those of a running server, and changes to them.

mod text;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    args::{CreateSubscription, Delivery, Keys, ServerFlags, Since, SomeStreams, Subscriptions},
    interrupt,
    project::Here,
    server::Server,
    ui::Ui,
};

/// Works on the subscriptions of a server.
pub fn run(ui: &Ui, here: &Here, args: &Subscriptions) -> Result<()> {
    interrupt::note_interrupts();
    match args {
        Subscriptions::List { server } => list(ui, &open(ui, here, server)?),
        Subscriptions::Show { id, server } => show(ui, &open(ui, here, server)?, id),
        Subscriptions::Create(args) => create(ui, &open(ui, here, &args.server)?, args),
        Subscriptions::Add(args) => add(ui, &open(ui, here, &args.server)?, args),
        Subscriptions::Remove(args) => remove(ui, &open(ui, here, &args.server)?, args),
        Subscriptions::Delete { id, yes, server } => delete(ui, &open(ui, here, server)?, id, *yes),
        Subscriptions::Retry { id, server } => retry(ui, &open(ui, here, server)?, id),
        Subscriptions::Keys(Keys::Rotate { now, yes, server }) => {
            rotate(ui, &open(ui, here, server)?, *now, *yes)
        }
    }
}

fn open(ui: &Ui, here: &Here, flags: &ServerFlags) -> Result<Server> {
    Server::open(ui, here, flags)
}

fn list(ui: &Ui, server: &Server) -> Result<()> {
    let ids = server.all_subscriptions()?;
    let mut found = Vec::new();
    ui.counting("Asking the subscriptions", |count| {
        for id in &ids {
            match server.subscription(id) {
                Ok(subscription) => found.push(subscription),
                // Somebody has deleted it since.
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error.into()),
            }
            count(found.len() as u64);
        }
        Ok(())
    })?;
    let scope = server.scope();
    let lines = match found.is_empty() {
        true => format!(
            "There is no subscription yet ({scope}); `durable-streams subscriptions create` makes one."
        ),
        false => {
            let lines: Vec<String> = found.iter().map(text::line).collect();
            lines.join("\n")
        }
    };
    ui.result(
        lines,
        &json!({ "server": server.url(), "project": server.project(), "subscriptions": found }),
    );
    Ok(())
}

fn show(ui: &Ui, server: &Server, id: &str) -> Result<()> {
    let subscription = server.subscription(id)?;
    ui.result(text::full(&subscription), &subscription);
    Ok(())
}

fn create(ui: &Ui, server: &Server, args: &CreateSubscription) -> Result<()> {
    let answer = server.subscribe(&args.id, &configuration(args))?;
    let said = match answer.status {
        201 => "Made the subscription",
        _ => "There is just this subscription already:",
    };
    ui.result(
        format!("{said} {}", text::line(&answer.document)),
        &json!({ "created": answer.status == 201, "subscription": answer.document }),
    );
    Ok(())
}

/// A subscription as the server takes it.
fn configuration(args: &CreateSubscription) -> Value {
    let mut document = match args.kind {
        Delivery::Webhook => json!({ "type": "webhook", "webhook": { "url": args.webhook_url } }),
        Delivery::PullWake => json!({ "type": "pull-wake", "wake_stream": args.wake_stream }),
        Delivery::Copy => json!({ "type": "copy", "target_stream": args.target }),
    };
    let from = |from| match from {
        Since::Now => "now",
        Since::Start => "start",
    };
    let given = [
        (
            "pattern",
            args.pattern.as_ref().map(|pattern| json!(pattern)),
        ),
        (
            "streams",
            (!args.stream.is_empty()).then(|| json!(args.stream)),
        ),
        ("from", args.from.map(from).map(|from| json!(from))),
        ("envelope", args.envelope.then_some(json!(true))),
        (
            "lease_ttl_ms",
            args.lease_ttl_ms.map(|millis| json!(millis)),
        ),
        (
            "description",
            args.description.as_ref().map(|text| json!(text)),
        ),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            document[key] = value;
        }
    }
    document
}

fn add(ui: &Ui, server: &Server, args: &SomeStreams) -> Result<()> {
    let SomeStreams { id, streams, .. } = args;
    server.add_streams(id, streams)?;
    ui.result(
        format!(
            "{id} is about {} now ({}).",
            streams.join(", "),
            server.scope()
        ),
        &json!({ "subscription": id, "project": server.project(), "added": streams }),
    );
    Ok(())
}

fn remove(ui: &Ui, server: &Server, args: &SomeStreams) -> Result<()> {
    let SomeStreams { id, streams, .. } = args;
    for stream in streams {
        server.remove_stream(id, stream)?;
    }
    ui.result(
        format!(
            "{id} is not about {} any more, unless its pattern is ({}).",
            streams.join(", "),
            server.scope()
        ),
        &json!({ "subscription": id, "project": server.project(), "removed": streams }),
    );
    Ok(())
}

fn delete(ui: &Ui, server: &Server, id: &str, yes: bool) -> Result<()> {
    let question = format!(
        "Delete the subscription {id} ({})? How far it has come is lost",
        server.scope()
    );
    ui.confirm(yes, &question, "nothing was deleted")?;
    server.unsubscribe(id)?;
    ui.result(
        format!(
            "There is no subscription {id} any more ({}).",
            server.scope()
        ),
        &json!({ "subscription": id, "project": server.project(), "deleted": true }),
    );
    Ok(())
}

fn retry(ui: &Ui, server: &Server, id: &str) -> Result<()> {
    server.retry(id)?;
    ui.result(
        format!(
            "If {id} waits with something, that is sent now; `durable-streams subscriptions show {id}` \
             tells how that goes."
        ),
        &json!({ "subscription": id, "project": server.project(), "retried": true }),
    );
    Ok(())
}

fn rotate(ui: &Ui, server: &Server, now: bool, yes: bool) -> Result<()> {
    if now {
        ui.confirm(
            yes,
            "Take the old key away at once? Receivers that have looked keys up refuse what they get \
             until they look again, up to 5 minutes",
            "nothing was changed",
        )?;
    }
    let made = server.rotate_keys(now)?;
    let (kid, active_at) = (text::value(&made["kid"]), text::time(&made["active_at"]));
    ui.result(
        format!(
            "Made the key {kid} ({}), which signs from {active_at}.",
            server.scope()
        ),
        &made,
    );
    Ok(())
}

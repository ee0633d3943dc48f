//! Two environments and a rename, deployed, used and destroyed in each order: what is left each time is in
//! `orders.txt`; UPDATE_SNAPSHOTS=1 rewrites it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, checkout, small_project};
use durable_streams_tests::places::Scratch;
use serde_json::{Value, json};

/// What happens, in an order in which it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The top level is deployed.
    Top,
    /// The environment is deployed.
    Staging,
    /// `name` is changed, and the top level is deployed again.
    Rename,
    /// The top level is destroyed.
    NoTop,
    /// The environment is destroyed.
    NoStaging,
}

use Event::{NoStaging, NoTop, Rename, Staging, Top};

impl Event {
    fn name(self) -> &'static str {
        match self {
            Top => "deploy a",
            Staging => "deploy s",
            Rename => "rename a to b",
            NoTop => "destroy",
            NoStaging => "destroy s",
        }
    }
}

/// Each order of these in which what is deployed is destroyed after that.
fn orders() -> Vec<Vec<Event>> {
    let mut orders = Vec::new();
    extend(&mut Vec::new(), &mut orders);
    orders
}

fn extend(order: &mut Vec<Event>, orders: &mut Vec<Vec<Event>>) {
    if order.len() == 5 {
        return orders.push(order.clone());
    }
    let after = [
        (Top, None),
        (Rename, Some(Top)),
        (NoTop, Some(Rename)),
        (Staging, None),
        (NoStaging, Some(Staging)),
    ];
    for (event, before) in after {
        let is_possible = before.is_none_or(|before| order.contains(&before));
        if is_possible && !order.contains(&event) {
            order.push(event);
            extend(order, orders);
            order.pop();
        }
    }
}

/// A project whose environments each have a `wrangler.toml`: the one in use is put in place.
struct Stage<'a> {
    cloud: &'a Cloud,
    dir: PathBuf,
    in_use: &'static str,
}

impl<'a> Stage<'a> {
    /// With a bucket that both use, or one for each.
    fn new(cloud: &'a Cloud, template: &Path, dir: PathBuf, is_shared: bool) -> Result<Self> {
        let everything = json!({ "buckets": [], "namespaces": [], "scripts": {}, "uploads": 0 });
        cloud.set(everything)?;
        checkout(template, &dir)?;
        let text = fs::read_to_string(dir.join("wrangler.toml"))?;
        let text = text.replacen("name = \"my-streams\"", "name = \"a\"", 1);
        let top = text.replace("bucket_name = \"my-streams\"", "bucket_name = \"cold\"");
        let bucket = if is_shared { "cold" } else { "cold-s" };
        let staging = text.replacen("name = \"a\"", "name = \"s\"", 1);
        let staging = staging.replace("\"my-streams\"", &format!("\"{bucket}\""));
        fs::write(dir.join("wrangler.toml"), &top)?;
        fs::write(dir.join("staging.toml"), with_environment(&staging))?;
        Ok(Self {
            cloud,
            dir,
            in_use: "top",
        })
    }

    fn put_in_place(&mut self, environment: &'static str) -> Result<PathBuf> {
        let wrangler = self.dir.join("wrangler.toml");
        if environment != self.in_use {
            fs::rename(&wrangler, self.dir.join(format!("{}.toml", self.in_use)))?;
            fs::rename(self.dir.join(format!("{environment}.toml")), &wrangler)?;
            self.in_use = environment;
        }
        Ok(wrangler)
    }

    fn run(&mut self, environment: &'static str, args: &[&str]) -> Result<String> {
        self.put_in_place(environment)?;
        let mut args = args.to_vec();
        if environment == "staging" {
            args.extend(["--env", "staging"]);
        }
        let ran = self.cloud.run(&self.dir, &args)?.ok()?;
        Ok(format!("{}{}", ran.stderr, ran.stdout))
    }

    /// Does it, and says what the program said of it.
    fn happen(&mut self, event: Event, how: &str) -> Result<Vec<String>> {
        let deploy = ["deploy", "--no-build"];
        let said = match event {
            Top => self.run("top", &deploy)?,
            Staging => self.run("staging", &deploy)?,
            Rename => {
                let path = self.put_in_place("top")?;
                let text = fs::read_to_string(&path)?;
                assert!(text.starts_with("name = \"a\"\n"), "{text}");
                fs::write(&path, text.replacen("name = \"a\"", "name = \"b\"", 1))?;
                self.run("top", &["deploy", "--no-build", "--rename", how])?
            }
            NoTop => self.run("top", &["destroy", "--yes"])?,
            NoStaging => self.run("staging", &["destroy", "--yes"])?,
        };
        // It is used.
        if matches!(event, Top | Staging | Rename) {
            for bucket in names(&self.cloud.state()?["buckets"], "name") {
                self.cloud.put_object(&bucket, event.name(), "x")?;
            }
        }
        let is_said = |line: &&str| {
            ["Stays:", "Removed:", "Nothing"]
                .iter()
                .any(|one| line.starts_with(one))
        };
        Ok(said.lines().filter(is_said).map(str::to_owned).collect())
    }

    fn left(&self) -> Result<String> {
        let state = self.cloud.state()?;
        let scripts = state["scripts"].as_object().context("no scripts")?;
        let scripts = scripts.iter().map(|(name, script)| {
            let classes = script["classes"].as_object().map_or(0, |all| all.len());
            format!("{name} ({classes} classes)")
        });
        let mut left: Vec<String> = scripts.collect();
        left.extend(names(&state["buckets"], "name"));
        left.extend(names(&state["namespaces"], "title"));
        let record = self.dir.join(".durable-streams.json").exists();
        let left = match left.is_empty() {
            true => "nothing".to_owned(),
            false => left.join(", "),
        };
        Ok(format!("{left}{}", if record { "" } else { "; no record" }))
    }
}

/// The same text with all that an environment does not inherit said again below `env.staging`.
fn with_environment(text: &str) -> String {
    let mut of_environment = "\n[env.staging]\nname = \"s\"\n".to_owned();
    let mut is_inherited = true;
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('[') {
            let (open, table) = match table.strip_prefix('[') {
                Some(table) => ("[[", table),
                None => ("[", table),
            };
            is_inherited = ["build", "migrations", "observability"]
                .iter()
                .any(|one| table.starts_with(one));
            if !is_inherited {
                of_environment.push_str(&format!("\n{open}env.staging.{table}\n"));
            }
        } else if !is_inherited && !line.starts_with('#') && !line.is_empty() {
            of_environment.push_str(&format!("{line}\n"));
        }
    }
    format!("{text}{of_environment}")
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    let names = all.filter_map(|one| one[key].as_str());
    names.map(str::to_owned).collect()
}

/// What is left of each order, with this way to rename and one bucket or two.
fn table(how: &'static str, is_shared: bool) -> Result<String> {
    let scratch = Scratch::new(&format!("orders-{how}-{is_shared}"))?;
    let cloud = Cloud::answering(&scratch)?;
    let template = small_project(&scratch, "my-streams")?;
    let mut text = String::new();
    for (number, order) in orders().iter().enumerate() {
        let dir = scratch.path().join(number.to_string());
        let mut stage = Stage::new(&cloud, &template, dir, is_shared)?;
        let buckets = if is_shared {
            "one bucket"
        } else {
            "two buckets"
        };
        let names: Vec<&str> = order.iter().map(|event| event.name()).collect();
        text.push_str(&format!("{how}, {buckets}: {}\n", names.join(", ")));
        for event in order {
            let said = stage
                .happen(*event, how)
                .with_context(|| format!("{order:?}: {event:?}"))?;
            if matches!(event, NoTop | NoStaging) {
                let left = stage.left()?;
                text.push_str(&format!("    {} leaves {left}\n", event.name()));
                let said = said.iter().map(|line| format!("        {line}\n"));
                text.push_str(&said.collect::<String>());
            }
        }
        // Whatever stayed was waiting for the other, and goes with the next run.
        stage.happen(NoTop, how)?;
        stage.happen(NoStaging, how)?;
        assert_eq!(stage.left()?, "nothing; no record", "{order:?}");
    }
    Ok(text)
}

#[test]
fn what_is_left_of_two_environments_and_a_rename() -> Result<()> {
    assert_eq!(orders().len(), 10);
    let cases = [
        ("carry-over", false),
        ("carry-over", true),
        ("keep-both", false),
        ("keep-both", true),
    ];
    let parts: Vec<Result<String>> = std::thread::scope(|scope| {
        let running = cases.map(|(how, is_shared)| scope.spawn(move || table(how, is_shared)));
        let ended = running.into_iter().map(|one| one.join());
        ended
            .map(|part| part.unwrap_or_else(|_| anyhow::bail!("panicked")))
            .collect()
    });
    let table = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/orders.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(path, &table)?;
    }
    assert_eq!(table, fs::read_to_string(path)?, "the table is not {path}");
    Ok(())
}

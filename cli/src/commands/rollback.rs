//! `rollback`: lets an earlier version of the deployed worker serve again.

use anyhow::Result;
use console::style;
use serde_json::{Value, json};

use crate::{
    args::Rollback,
    cloudflare::{Deployed, Version},
    deployment::Deployment,
    error::problem,
    interrupt,
    project::Here,
    ui::Ui,
};

/// What Cloudflare says when secrets have changed since the version was made.
const SECRETS_CHANGED: i64 = 10220;
/// How much of an id is shown, which tells versions apart well enough.
const SHOWN: usize = 8;

/// Lists the versions, or goes back to one.
pub fn run(ui: &Ui, here: &Here, args: &Rollback) -> Result<()> {
    interrupt::note_interrupts();
    let mut deployment = Deployment::open(ui, here)?;
    if args.list {
        let history = History::read(&deployment)?;
        ui.result(history.text(), &history.document(&deployment));
        return Ok(());
    }
    deployment.hold("rollback")?;
    let history = History::read(&deployment)?;
    let target = history.choose(args.to.as_deref())?;
    let worker = &deployment.project.name;
    let short = short(&target.id);
    let document = json!({ "worker": worker, "version": target.id, "changed": false });
    if history.serving() == Some(target.id.as_str()) {
        ui.result(
            format!("Nothing to do: the version {short} serves already"),
            &document,
        );
        return Ok(());
    }
    check_migrations(&deployment, &history, target)?;
    ui.note(history.text());
    ui.note(
        "Code, settings and secrets go back; streams, and what the bucket and the namespace hold, \
         stay as they are",
    );
    let question = format!("Let the version {short} of {worker} serve from now on?");
    ui.confirm(args.yes, &question, "nothing was changed")?;
    let message = args.message.as_deref().unwrap_or("Rollback");
    let account = &deployment.account;
    ui.step(&format!("Going back to the version {short}"), || {
        let outcome = account.deploy_version(worker, &target.id, message, args.old_secrets);
        outcome.map_err(|error| match error.has(SECRETS_CHANGED) {
            true => problem(
                error.to_string(),
                "--old-secrets goes back all the same, and brings back the secrets of that version; \
                 `durable-streams secret put` sets them anew",
            ),
            false => error.into(),
        })
    })?;
    ui.result(
        format!(
            "The version {short} of {worker}, of {}, serves from now on. `durable-streams deploy` puts \
             what is here in its place",
            when(target)
        ),
        &json!({ "worker": worker, "version": target.id, "changed": true }),
    );
    Ok(())
}

/// Versions, and which have served.
struct History {
    versions: Vec<Version>,
    deployments: Vec<Deployed>,
}

impl History {
    fn read(deployment: &Deployment) -> Result<Self> {
        let worker = &deployment.project.name;
        Ok(Self {
            deployments: deployment.account.deployments(worker)?,
            versions: deployment.account.versions(worker)?,
        })
    }

    /// The version that serves, if it is one alone.
    fn serving(&self) -> Option<&str> {
        self.deployments.first()?.only()
    }

    fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version that is meant: the one whose id begins like this, or the last that served alone
    /// before the one that does now.
    fn choose(&self, wanted: Option<&str>) -> Result<&Version> {
        let Some(wanted) = wanted else {
            let before = self.deployments.iter().skip(1).filter_map(Deployed::only);
            let mut others = before.filter(|id| Some(*id) != self.serving());
            return others.find_map(|id| self.version(id)).ok_or_else(|| {
                problem(
                    "no other version has served alone before",
                    "name one: `durable-streams rollback --list` lists them",
                )
            });
        };
        let mut found = self
            .versions
            .iter()
            .filter(|one| one.id.starts_with(wanted));
        match (found.next(), found.next()) {
            (Some(version), None) => Ok(version),
            (found, _) => Err(problem(
                match found {
                    None => format!("there is no version {wanted} among the latest"),
                    Some(_) => format!("several versions begin with {wanted}"),
                },
                "`durable-streams rollback --list` lists those that can serve",
            )),
        }
    }

    /// How much of what comes a version serves, in percent.
    fn share(&self, version: &Version) -> Option<f64> {
        let mut shares = self.deployments.first()?.versions.iter();
        let share = shares.find(|share| share.version_id == version.id)?;
        Some(share.percentage)
    }

    /// A line for each version.
    fn text(&self) -> String {
        let lines = self.versions.iter().map(|version| {
            let state = match self.share(version) {
                Some(share) if share >= 100.0 => style("serves".to_owned()).green(),
                Some(share) => style(format!("{share} %")).green(),
                None => style(String::new()),
            };
            let annotations = &version.annotations;
            let what = [&annotations.triggered_by, &annotations.message];
            let what: Vec<&str> = what.into_iter().flatten().map(String::as_str).collect();
            let line = format!(
                "{}  {}  {state:6}  {}",
                short(&version.id),
                when(version),
                what.join(": ")
            );
            line.trim_end().to_owned()
        });
        let lines: Vec<String> = lines.collect();
        match lines.is_empty() {
            true => "There are no versions".to_owned(),
            false => lines.join("\n"),
        }
    }

    fn document(&self, deployment: &Deployment) -> Value {
        let versions = self.versions.iter().map(|version| {
            json!({
                "id": version.id,
                "number": version.number,
                "createdOn": version.metadata.created_on,
                "author": version.metadata.author_email,
                "triggeredBy": version.annotations.triggered_by,
                "message": version.annotations.message,
                "percentage": self.share(version).unwrap_or_default(),
            })
        });
        json!({
            "worker": deployment.project.name,
            "versions": versions.collect::<Vec<_>>(),
        })
    }
}

/// Refuses to go back across a migration: Cloudflare does not undo one, and the code of before would
/// not find its objects, or those of others.
fn check_migrations(deployment: &Deployment, history: &History, target: &Version) -> Result<()> {
    let worker = &deployment.project.name;
    let account = &deployment.account;
    let serving = history.deployments.first();
    let serving = serving.into_iter().flat_map(|one| &one.versions);
    let whole = account.version(worker, &target.id)?;
    for share in serving {
        if let Some(why) = crossed(&account.version(worker, &share.version_id)?, &whole) {
            return Err(problem(
                format!("cannot go back to the version {}: {why}", short(&target.id)),
                "a migration of Durable Objects cannot be undone; take the code of that time, keep all \
                 `migrations` in the settings, and `durable-streams deploy` it",
            ));
        }
    }
    Ok(())
}

/// The migration between a version that serves and another, if there is one.
fn crossed(serving: &Version, target: &Version) -> Option<String> {
    let tag = |version: &Version| version.resources.script_runtime.migration_tag.clone();
    if let (Some(serving), Some(target)) = (tag(serving), tag(target)) {
        return (serving != target).then(|| {
            format!(
                "it was made at the migration `{target}`, and `{serving}` has been carried out since"
            )
        });
    }
    let (serving, target) = (serving.classes(), target.classes());
    let changed: Vec<&str> = serving.symmetric_difference(&target).copied().collect();
    (!changed.is_empty()).then(|| {
        format!(
            "the classes of Durable Objects have changed since: {}",
            changed.join(", ")
        )
    })
}

/// Enough of an id to tell versions apart.
fn short(id: &str) -> &str {
    id.get(..SHOWN).unwrap_or(id)
}

/// When a version was uploaded, to the second.
fn when(version: &Version) -> String {
    let time = version.metadata.created_on.as_deref().unwrap_or("-");
    time.get(..19).unwrap_or(time).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, tag: Option<&str>, classes: &[&str]) -> Version {
        let bindings = classes.iter().map(|class| json!({ "class_name": class }));
        let document = json!({
            "id": id,
            "resources": {
                "bindings": bindings.collect::<Vec<_>>(),
                "script_runtime": { "migration_tag": tag },
            },
        });
        serde_json::from_value(document).unwrap()
    }

    fn history(versions: &[&str], served: &[&[&str]]) -> History {
        let deployments = served.iter().map(|ids| {
            let share = 100 / ids.len();
            let shares = ids
                .iter()
                .map(|id| json!({ "version_id": id, "percentage": share }));
            let document = json!({ "created_on": "x", "versions": shares.collect::<Vec<_>>() });
            serde_json::from_value(document).unwrap()
        });
        History {
            versions: versions.iter().map(|id| version(id, None, &[])).collect(),
            deployments: deployments.collect(),
        }
    }

    fn chosen(history: &History, wanted: Option<&str>) -> std::result::Result<String, String> {
        let found = history.choose(wanted);
        found
            .map(|version| version.id.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_name_the_last_that_served_alone_is_meant() {
        let of = |served: &[&[&str]]| chosen(&history(&["c", "b", "a"], served), None);
        assert_eq!(of(&[&["c"], &["b"], &["a"]]).unwrap(), "b");
        assert_eq!(of(&[&["c"], &["b", "c"], &["c"], &["a"]]).unwrap(), "a");
        assert_eq!(of(&[&["b", "c"], &["b"]]).unwrap(), "b");
        // One that is too old to serve again is left out.
        assert_eq!(of(&[&["c"], &["older"], &["a"]]).unwrap(), "a");
        assert!(
            of(&[&["c"], &["c"]])
                .unwrap_err()
                .contains("no other version")
        );
        assert!(of(&[]).unwrap_err().contains("no other version"));
    }

    #[test]
    fn an_id_may_be_cut_short_as_long_as_it_is_one() {
        let history = history(&["abc", "abd", "b"], &[&["b"]]);
        let of = |wanted| chosen(&history, Some(wanted));
        assert_eq!(of("abd").unwrap(), "abd");
        assert_eq!(of("b").unwrap(), "b");
        assert!(of("ab").unwrap_err().contains("several versions"));
        assert!(of("x").unwrap_err().contains("no version x"));
    }

    #[test]
    fn a_migration_between_two_versions_is_noticed_by_its_tag_or_by_classes() {
        let of = |serving: &Version, target: &Version| crossed(serving, target);
        let one = version("a", Some("v1"), &["A"]);
        assert_eq!(of(&one, &one), None);
        let two = version("b", Some("v2"), &["A"]);
        assert!(
            of(&two, &one)
                .unwrap()
                .contains("`v2` has been carried out")
        );
        let (unsaid, more) = (version("c", None, &["A"]), version("d", None, &["A", "B"]));
        assert_eq!(of(&unsaid, &one), None);
        assert!(of(&more, &one).unwrap().ends_with(": B"));
        assert!(of(&one, &more).unwrap().ends_with(": B"));
    }
}

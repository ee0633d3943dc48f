//! `usage`: what the deployed worker was used for, and what that costs.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    args::Usage,
    deployment::Deployment,
    error::problem,
    interrupt,
    project::{Here, Project},
    registry,
    ui::Ui,
    usage::{
        prices,
        query::{Question, Window},
        report::Report,
        text,
    },
};

/// The binding that the runtime writes data points to.
const BINDING: &str = "METRICS";

/// Asks, adds up and shows.
pub fn run(ui: &Ui, here: &Here, args: &Usage) -> Result<()> {
    interrupt::note_interrupts();
    let (text, document) = answer(ui, here, args)?;
    ui.result(text, &document);
    Ok(())
}

/// What there is to show, for a person and for a program.
pub fn answer(ui: &Ui, here: &Here, args: &Usage) -> Result<(String, Value)> {
    if let Some(name) = &args.project {
        registry::check_name(name)?;
    }
    let deployment = Deployment::open(ui, here)?;
    let dataset = dataset(&deployment.project)?;
    let account = &deployment.account;
    let question = Question {
        dataset: &dataset,
        window: Window::before(Timestamp::now().as_second(), args.since),
        project: args.project.as_deref(),
    };
    let (done, dear) = ui.step("Asking Analytics Engine", || {
        // A dataset begins to be there when something is written to it.
        if !account.datasets()?.contains(&dataset) {
            return Ok((Vec::new(), Vec::new()));
        }
        let done = account.query(&question.over_time())?;
        let dear = match args.top {
            0 => Vec::new(),
            top => account.query(&question.dearest(top))?,
        };
        Ok((done, dear))
    })?;
    if done.is_empty() {
        ui.note(format!(
            "{dataset} has nothing of that time; data points can take some minutes to show"
        ));
    }
    let report = Report::new(&question.window, &done, dear);
    Ok((
        text::text(&report, &question.window),
        document(&deployment.project, &question, &report),
    ))
}

/// The dataset of a project.
fn dataset(project: &Project) -> Result<String> {
    let manifest = project.manifest();
    let file = manifest.name();
    let datasets = &project.wrangler.analytics_engine_datasets;
    let Some(found) = datasets.iter().find(|dataset| dataset.binding == BINDING) else {
        let name = project.name.replace('-', "_");
        return Err(problem(
            format!("{file} has no dataset for {BINDING}, so the worker notes nothing down"),
            format!(
                "add an entry to `{}` with `binding = \"{BINDING}\"` and `dataset = \
                 \"{name}_metrics\"`, and deploy",
                project.key("analytics_engine_datasets")
            ),
        ));
    };
    // As for wrangler, without a name it has that of the binding.
    let name = found.dataset.clone().unwrap_or_else(|| BINDING.to_owned());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || !name.chars().all(is_plain)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(problem(
            format!("the `dataset` \"{name}\" of {file} cannot be asked about in SQL"),
            "name it with letters, digits and `_`, beginning with a letter, and deploy",
        ));
    }
    Ok(name)
}

fn document(project: &Project, question: &Question, report: &Report) -> Value {
    let window = question.window;
    let when = |seconds| {
        Timestamp::from_second(seconds)
            .ok()
            .map(|time| time.to_string())
    };
    let mut document = json!({
        "project": { "name": project.name, "dir": project.root },
        "dataset": question.dataset,
        "only": question.project,
        "from": when(window.from),
        "to": when(window.to),
        "slotSeconds": window.slot,
        "usage": report,
        "prices": {
            "asOf": prices::AS_OF,
            "source": prices::SOURCE,
            "plan": prices::PLAN,
            "notCounted": prices::LEFT_OUT,
        },
        "dollars": report.dollars(),
        "dollarsAMonthBeyondThePlan": report.dollars_a_month(),
    });
    write_whole(&mut document);
    document
}

/// Writes whole numbers as such.
fn write_whole(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(write_whole),
        Value::Object(map) => map.values_mut().for_each(write_whole),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            // More than an f64 is sure of stays as it is.
            if let Some(whole) = whole.filter(|whole| whole.abs() < 9e15) {
                #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
                let whole = whole as i64;
                *value = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

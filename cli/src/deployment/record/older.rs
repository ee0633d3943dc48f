//! The record as the first release wrote it: names alone, and no environments.

use serde::Deserialize;

use super::made::{Created, MadeBucket, MadeNamespace, Mark, Worker};

/// What a project had made in an account.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Older {
    worker: Option<String>,
    /// By name; with its jurisdiction and a slash before it, where it has one.
    #[serde(default)]
    buckets: Vec<String>,
    /// By title.
    #[serde(default)]
    namespaces: Vec<String>,
}

impl From<Older> for Created {
    fn from(older: Older) -> Self {
        let worker = |name| Worker {
            name,
            ..Worker::default()
        };
        let namespace = |title| MadeNamespace {
            title,
            id: None,
            adopted: false,
        };
        Self {
            workers: older.worker.into_iter().map(worker).collect(),
            buckets: older.buckets.iter().map(|text| bucket(text)).collect(),
            namespaces: older.namespaces.into_iter().map(namespace).collect(),
        }
    }
}

fn bucket(text: &str) -> MadeBucket {
    let (jurisdiction, name) = match text.split_once('/') {
        Some((jurisdiction, name)) => (Some(jurisdiction.to_owned()), name),
        None => (None, text),
    };
    MadeBucket {
        name: name.to_owned(),
        jurisdiction,
        mark: Mark::default(),
        adopted: false,
    }
}

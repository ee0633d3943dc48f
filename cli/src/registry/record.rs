//! What the registry holds of a project. The runtime crate reads the same document.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::secret::Secret;
use crate::error::problem;

/// The record of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Tokens signed with any of them are taken; new ones are signed with the first, the primary.
    pub signing_secrets: Vec<Secret>,
    /// Origins whose pages may use the project's streams; `*` for all.
    #[serde(default)]
    pub cors_origins: Vec<String>,
    /// Whether all streams can be read without a token.
    #[serde(default)]
    pub is_public: bool,
    /// Tells the streams of the project from those of deleted projects of its name, if there were
    /// any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    era: Option<u64>,
    /// What others have put there stays there.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Record {
    /// A project with one secret, closed to everybody else.
    pub fn new(secret: Secret) -> Self {
        Self {
            signing_secrets: vec![secret],
            cors_origins: Vec::new(),
            is_public: false,
            era: None,
            rest: Map::new(),
        }
    }

    /// The same project after others of its name.
    pub fn in_new_era(&self) -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).context("the system has no random bytes")?;
        Ok(Self {
            // So small that every reader of JSON gets it right.
            era: Some(u64::from_be_bytes(bytes) >> 11),
            ..self.clone()
        })
    }

    /// The secret that signs.
    pub fn primary(&self) -> Result<&Secret> {
        self.signing_secrets.first().ok_or_else(|| {
            problem(
                "the project has no secret",
                "`durable-streams projects rotate` gives it one",
            )
        })
    }

    /// Makes a new secret the primary. Tokens of the others are still taken.
    pub fn rotate(&mut self, secret: Secret) -> Result<()> {
        if self.signing_secrets.contains(&secret) {
            return Err(problem(
                "the project has this secret already",
                "leave --secret-stdin out to get a new one",
            ));
        }
        self.signing_secrets.insert(0, secret);
        Ok(())
    }

    /// Takes a secret away, and returns its id: the one of this id, or else the only one beside
    /// the primary.
    pub fn remove_secret(&mut self, id: Option<&str>) -> Result<String> {
        let ids: Vec<String> = self.signing_secrets.iter().map(Secret::id).collect();
        let at = match (id, ids.as_slice()) {
            (_, [] | [_]) => {
                return Err(problem(
                    "the project has no secret beside the one that signs new tokens",
                    "`durable-streams projects rotate` first; `durable-streams projects delete` removes the project",
                ));
            }
            (Some(id), ids) => ids.iter().position(|found| found == id).ok_or_else(|| {
                problem(
                    format!("the project has no secret `{id}`"),
                    format!("it has {}", ids.join(", ")),
                )
            })?,
            (None, [_, _]) => 1,
            (None, [_, others @ ..]) => {
                return Err(problem(
                    "the project has several secrets beside the one that signs new tokens",
                    format!("name one with --secret: {}", others.join(", ")),
                ));
            }
        };
        Ok(self.signing_secrets.remove(at).id())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret() -> Secret {
        Secret::generate().unwrap()
    }

    #[test]
    fn the_document_is_what_the_runtime_reads() {
        let secret = secret();
        let document = serde_json::to_value(Record::new(secret.clone())).unwrap();
        let expected = json!({
            "signingSecrets": [secret.reveal()],
            "corsOrigins": [],
            "isPublic": false,
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn each_era_is_another_one() {
        let record = Record::new(secret());
        let eras = [record.in_new_era().unwrap(), record.in_new_era().unwrap()];
        assert_ne!(eras[0], eras[1]);
        for later in eras {
            let era = serde_json::to_value(&later).unwrap()["era"].clone();
            assert!(era.as_u64().unwrap() < 1 << 53, "{era}");
            assert_eq!(Record { era: None, ..later }, record);
        }
    }

    #[test]
    fn what_others_have_put_there_survives() {
        let document =
            json!({ "signingSecrets": [], "corsOrigins": ["*"], "isPublic": true, "x": 1 });
        let record: Record = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(serde_json::to_value(record).unwrap(), document);
    }

    #[test]
    fn a_new_secret_signs_and_the_old_one_stays_until_it_is_removed() {
        let (old, new) = (secret(), secret());
        let mut record = Record::new(old.clone());
        record.rotate(new.clone()).unwrap();
        assert_eq!(record.signing_secrets, [new.clone(), old.clone()]);
        assert_eq!(record.primary().unwrap(), &new);
        record.rotate(old.clone()).unwrap_err();
        assert_eq!(record.remove_secret(None).unwrap(), old.id());
        assert_eq!(record.signing_secrets, [new]);
    }

    #[test]
    fn the_last_secret_cannot_be_removed_and_one_of_several_has_to_be_named() {
        let mut record = Record::new(secret());
        let last = record.signing_secrets[0].id();
        record.remove_secret(None).unwrap_err();
        record.remove_secret(Some(&last)).unwrap_err();
        record.rotate(secret()).unwrap();
        record.rotate(secret()).unwrap();
        let error = record.remove_secret(None).unwrap_err();
        assert!(crate::error::hint(&error).unwrap().contains(&last));
        record.remove_secret(Some("00000000")).unwrap_err();
        let primary = record.signing_secrets[0].id();
        assert_eq!(record.remove_secret(Some(&primary)).unwrap(), primary);
        assert_eq!(record.signing_secrets.len(), 2);
    }
}

//! Jurisdictions: a stream, and what has moved of it to the bucket, is found only in the one in which it
//! was made.

use anyhow::Result;

use super::{consent::Consent, record::MadeBucket};
use crate::{
    cloudflare::Settings, error::problem, project::wrangler::Wrangler, settings::JURISDICTION,
};

/// The binding of the bucket that streams move to.
const R2: &str = "R2";

/// Refuses a bucket that is not where the streams are.
pub fn check(wrangler: &Wrangler) -> Result<()> {
    let streams = wrangler.word(JURISDICTION);
    for bucket in wrangler.r2_buckets.iter().filter(|one| one.binding == R2) {
        let bucket = bucket.jurisdiction.as_deref();
        if bucket != streams {
            return Err(problem(
                format!(
                    "wrangler.toml keeps the streams {}, and the bucket they move to {}",
                    place(streams),
                    place(bucket)
                ),
                match streams {
                    Some(word) => format!("add `jurisdiction = \"{word}\"` to `[[r2_buckets]]`"),
                    None => format!(
                        "add `{} = \"{}\"` to `[vars]`, or take `jurisdiction` out of \
                         `[[r2_buckets]]`",
                        JURISDICTION.name,
                        bucket.unwrap_or_default()
                    ),
                },
            ));
        }
    }
    Ok(())
}

/// Refuses to deploy where the streams of the deployed worker would not be found.
pub fn check_streams(wrangler: &Wrangler, deployed: &Settings) -> Result<()> {
    let deployed = deployed.binding(JURISDICTION.name, "plain_text");
    let deployed = deployed.and_then(|one| one["text"].as_str());
    let deployed = deployed.filter(|word| !word.is_empty());
    let stays = wrangler.keep_vars && !wrangler.vars.contains_key(JURISDICTION.name);
    let wanted = wrangler.word(JURISDICTION);
    if deployed == wanted || stays {
        return Ok(());
    }
    Err(problem(
        format!(
            "the streams of the deployed worker are {}, and wrangler.toml looks for them {}: none of \
             them would be found",
            place(deployed),
            place(wanted)
        ),
        format!(
            "set `{} = \"{}\"` in `[vars]`; or deploy a second worker under another `name`: what \
             there is does not move",
            JURISDICTION.name,
            deployed.unwrap_or_default()
        ),
    ))
}

/// Refuses to make a second bucket in the place of one that the project has made elsewhere.
pub fn check_buckets(wrangler: &Wrangler, made: &[MadeBucket]) -> Result<()> {
    for bucket in &wrangler.r2_buckets {
        let Some(name) = &bucket.bucket_name else {
            continue;
        };
        let mut same = made.iter().filter(|made| made.name == *name);
        let elsewhere = same.find(|made| made.jurisdiction != bucket.jurisdiction);
        if let Some(elsewhere) = elsewhere {
            return Err(problem(
                format!(
                    "this project has made the bucket {name} {}, and wrangler.toml looks for it {}",
                    place(elsewhere.jurisdiction.as_deref()),
                    place(bucket.jurisdiction.as_deref())
                ),
                "set its `jurisdiction` as it was, or give it another `bucket_name`: a bucket cannot \
                 be moved",
            ));
        }
    }
    Ok(())
}

/// Refuses to bind the streams of a deployed worker to another bucket than the one that holds what has
/// moved of them.
pub fn check_same_bucket(
    wrangler: &Wrangler,
    worker: &str,
    deployed: &Settings,
    consent: &Consent,
) -> Result<()> {
    let wanted = wrangler.r2_buckets.iter().find(|one| one.binding == R2);
    let bound = deployed.binding(R2, "r2_bucket");
    let bound = bound.and_then(|one| one["bucket_name"].as_str());
    let (Some(wanted), Some(bound)) = (wanted, bound) else {
        return Ok(());
    };
    let name = wanted.bucket_name.as_deref().unwrap_or_default();
    if name == bound || consent.names(name) {
        return Ok(());
    }
    Err(problem(
        format!(
            "the bucket {bound} holds what has moved of the streams of {worker}, and wrangler.toml \
             binds {}: none of that would be found",
            match name {
                "" => "another one",
                name => name,
            }
        ),
        match name {
            "" => format!("set `bucket_name = \"{bound}\"` in the `[[r2_buckets]]` of {R2}"),
            name => format!(
                "set `bucket_name = \"{bound}\"` in the `[[r2_buckets]]` of {R2}; or, if {name} holds \
                 all of it by now, add `--adopt {name}`"
            ),
        },
    ))
}

fn place(jurisdiction: Option<&str>) -> String {
    match jurisdiction {
        Some(word) => format!("in jurisdiction `{word}`"),
        None => "in no jurisdiction".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{cloudflare::Bucket, project::samples};

    fn wrangler(vars: &str, bucket: &str) -> Wrangler {
        samples::wrangler(&format!(
            "{vars}\n[[r2_buckets]]\nbinding = \"R2\"\nbucket_name = \"b\"\n{bucket}\n"
        ))
    }

    fn in_jurisdiction(word: &str) -> Wrangler {
        let vars = format!("vars = {{ JURISDICTION = \"{word}\" }}");
        wrangler(&vars, &format!("jurisdiction = \"{word}\""))
    }

    fn deployed(word: Option<&str>) -> Settings {
        let variable = |text| json!({ "name": "JURISDICTION", "type": "plain_text", "text": text });
        Settings {
            bindings: word.map(variable).into_iter().collect(),
            ..Settings::default()
        }
    }

    #[test]
    fn a_bucket_is_where_the_streams_are() {
        check(&in_jurisdiction("eu")).unwrap();
        check(&wrangler("", "")).unwrap();
        check(&wrangler("vars = { JURISDICTION = \"\" }", "")).unwrap();
        let vars = "vars = { JURISDICTION = \"eu\" }";
        for wrong in [
            wrangler(vars, ""),
            wrangler("", "jurisdiction = \"eu\""),
            wrangler(vars, "jurisdiction = \"us\""),
        ] {
            check(&wrong).unwrap_err();
        }
    }

    #[test]
    fn streams_stay_where_they_are() {
        check_streams(&in_jurisdiction("eu"), &deployed(Some("eu"))).unwrap();
        for none in [None, Some("")] {
            check_streams(&wrangler("", ""), &deployed(none)).unwrap();
            check_streams(&in_jurisdiction("eu"), &deployed(none)).unwrap_err();
        }
        for other in [in_jurisdiction("us"), wrangler("", "")] {
            check_streams(&other, &deployed(Some("eu"))).unwrap_err();
        }
        // What was set elsewhere and is kept is no change.
        let kept = wrangler("keep_vars = true", "");
        check_streams(&kept, &deployed(Some("eu"))).unwrap();
    }

    #[test]
    fn streams_stay_with_their_bucket() {
        let bound = |bucket: &str| Settings {
            bindings: vec![json!({ "name": "R2", "type": "r2_bucket", "bucket_name": bucket })],
            ..Settings::default()
        };
        let check = |deployed: &Settings, adopt: &[&str]| {
            let consent = Consent {
                adopt: adopt.iter().map(|name| (*name).to_owned()).collect(),
                rename: None,
            };
            check_same_bucket(&wrangler("", ""), "w", deployed, &consent)
        };
        check(&bound("b"), &[]).unwrap();
        check(&Settings::default(), &[]).unwrap();
        let error = check(&bound("other"), &[]).unwrap_err();
        assert!(
            error.to_string().contains("the bucket other holds"),
            "{error}"
        );
        check(&bound("other"), &["b"]).unwrap();
        check(&bound("other"), &["other"]).unwrap_err();
    }

    #[test]
    fn a_bucket_that_was_made_elsewhere_is_not_made_again() {
        let made = |name: &str, jurisdiction: Option<&str>| {
            let bucket = Bucket {
                name: name.to_owned(),
                jurisdiction: jurisdiction.map(str::to_owned),
            };
            vec![MadeBucket::new(&bucket, None, false)]
        };
        let eu = Some("eu");
        check_buckets(&in_jurisdiction("eu"), &made("b", eu)).unwrap();
        check_buckets(&in_jurisdiction("eu"), &made("other", None)).unwrap();
        check_buckets(&wrangler("", ""), &made("b", None)).unwrap();
        check_buckets(&wrangler("", ""), &made("b", eu)).unwrap_err();
        check_buckets(&in_jurisdiction("us"), &made("b", None)).unwrap_err();
    }
}

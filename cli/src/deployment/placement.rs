//! Jurisdictions: a stream, and what has moved of it to the bucket, is found only in the one in which it
//! was made.

use anyhow::Result;
use serde_json::Value;

use super::record::bucket_of;
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
    let variable = |one: &&Value| one["name"] == JURISDICTION.name && one["type"] == "plain_text";
    let deployed = deployed.bindings.iter().find(variable);
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
pub fn check_buckets(wrangler: &Wrangler, made: &[String]) -> Result<()> {
    for bucket in &wrangler.r2_buckets {
        let Some(name) = &bucket.bucket_name else {
            continue;
        };
        let elsewhere = made.iter().map(|made| bucket_of(made));
        let elsewhere = elsewhere
            .filter(|made| made.name == *name)
            .find(|made| made.jurisdiction != bucket.jurisdiction);
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

    fn wrangler(vars: &str, bucket: &str) -> Wrangler {
        let text = format!(
            "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n\
             {vars}\n[[r2_buckets]]\nbinding = \"R2\"\nbucket_name = \"b\"\n{bucket}\n"
        );
        Wrangler::parse(&text).unwrap()
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
    fn a_bucket_that_was_made_elsewhere_is_not_made_again() {
        let made = |name: &str| vec![name.to_owned()];
        check_buckets(&in_jurisdiction("eu"), &made("eu/b")).unwrap();
        check_buckets(&in_jurisdiction("eu"), &made("other")).unwrap();
        check_buckets(&wrangler("", ""), &made("b")).unwrap();
        check_buckets(&wrangler("", ""), &made("eu/b")).unwrap_err();
        check_buckets(&in_jurisdiction("us"), &made("b")).unwrap_err();
    }
}

//! R2's S3 API, for the one thing the REST API has no request for: removing a thousand objects at once.
//! An API token is a key there: its id is the key's, and the SHA-256 of the token is the secret.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{Timestamp, tz::TimeZone};
use md5::Md5;
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::{
    account::Account,
    error::{Endpoint, Error, Result},
    r2::Bucket,
};
use crate::{
    hex::hex,
    http::{self, is_success, is_untrusted, is_worth_another_try, reason},
};

/// How many objects one request removes at most.
pub const BATCH: usize = 1000;
/// How often a request is sent, counting the first time: many follow each other, and one that fails ends
/// them all.
const TRIES: u32 = 5;
/// The region of all of R2.
const REGION: &str = "auto";

/// A key of the S3 API.
#[derive(Debug, Clone)]
pub struct S3Key {
    id: String,
    secret: String,
}

impl Account {
    /// The key that the credentials are in the S3 API, if they are a token.
    pub fn s3_key(&self) -> Result<Option<S3Key>> {
        let Some(secret) = self.client.credentials().s3_secret() else {
            return Ok(None);
        };
        match self.verify() {
            Ok((_, token)) => Ok(Some(S3Key {
                id: token.id,
                secret,
            })),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            // Without a key, it goes another way.
            Err(_) => Ok(None),
        }
    }

    /// Removes up to [`BATCH`] objects in one request; says how many have gone.
    pub fn delete_objects(&self, key: &S3Key, bucket: &Bucket, names: &[String]) -> Result<usize> {
        let what = format!("deleting {} objects of the bucket {bucket}", names.len());
        let url = format!("{}/{}?delete=", endpoint(&self.id, bucket), bucket.name);
        let url = Url::parse(&url).map_err(|_| Error::Malformed {
            what: what.clone(),
            why: "its address is no URL".to_owned(),
        })?;
        let body = document(names);
        let attempt = async || self.ask(key, &url, &body).await;
        let again = |outcome: &reqwest::Result<(u16, String)>| match outcome {
            Ok((status, _)) => is_worth_another_try(*status).then_some(None),
            Err(_) => Some(None),
        };
        match self.client.run(http::repeat(TRIES, attempt, again))? {
            // Those that stay are named.
            Ok((status, text)) if is_success(status) => {
                let stay = text.matches("<Error>").count();
                Ok(names.len().saturating_sub(stay))
            }
            Ok((status, _)) => Err(Error::Refused {
                endpoint: Endpoint::R2,
                what,
                status,
                refusals: Vec::new(),
                retry_after: None,
                dashboard: String::new(),
            }),
            Err(error) => Err(Error::Unreachable {
                what,
                host: url.host_str().unwrap_or_default().to_owned(),
                why: reason(&error),
                untrusted: is_untrusted(&error),
            }),
        }
    }

    async fn ask(&self, key: &S3Key, url: &Url, body: &str) -> reqwest::Result<(u16, String)> {
        let time = Timestamp::now().to_zoned(TimeZone::UTC);
        let time = time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let port = url.port().map(|port| format!(":{port}"));
        let host = url.host_str().unwrap_or_default();
        let headers = [
            ("content-md5", BASE64_STANDARD.encode(Md5::digest(body))),
            ("host", format!("{host}{}", port.unwrap_or_default())),
            ("x-amz-content-sha256", hex(&Sha256::digest(body))),
            ("x-amz-date", time),
        ];
        let authorization = authorization(key, REGION, "POST", url, &headers);
        let mut request = self.client.http().post(url.clone()).body(body.to_owned());
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, value);
        }
        let response = request
            .header("authorization", authorization)
            .send()
            .await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    }
}

/// Where the buckets of an account are. One with borders has a host of its own.
fn endpoint(account: &str, bucket: &Bucket) -> String {
    // Lets tests use a Cloudflare of their own.
    if let Ok(url) = std::env::var("DURABLE_STREAMS_R2_URL") {
        return url.trim_end_matches('/').to_owned();
    }
    let place = bucket.jurisdiction.as_ref();
    let place = place.map_or(String::new(), |word| format!(".{word}"));
    format!("https://{account}{place}.r2.cloudflarestorage.com")
}

/// What is asked for: only what does not work is answered.
fn document(names: &[String]) -> String {
    let mut document = "<Delete><Quiet>true</Quiet>".to_owned();
    for name in names {
        document.push_str("<Object><Key>");
        for letter in name.chars() {
            match letter {
                '&' => document.push_str("&amp;"),
                '<' => document.push_str("&lt;"),
                '>' => document.push_str("&gt;"),
                // A reader would take it for a space, or for nothing.
                '\t' | '\n' | '\r' => document.push_str(&format!("&#{};", u32::from(letter))),
                letter => document.push(letter),
            }
        }
        document.push_str("</Key></Object>");
    }
    document.push_str("</Delete>");
    document
}

/// The signature of a request, version 4 of AWS. `headers` are sorted, and have the time and the digest
/// of the body.
fn authorization(
    key: &S3Key,
    region: &str,
    method: &str,
    url: &Url,
    headers: &[(&str, String)],
) -> String {
    let value = |name: &str| {
        let mut values = headers.iter().filter(|(one, _)| *one == name);
        values.next().map_or("", |(_, value)| value)
    };
    let time = value("x-amz-date");
    let day = time.split('T').next().unwrap_or_default();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let request = [
        method,
        url.path(),
        url.query().unwrap_or_default(),
        &lines.concat(),
        &names,
        value("x-amz-content-sha256"),
    ];
    let request = hex(&Sha256::digest(request.join("\n")));
    let scope = format!("{day}/{region}/s3/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}");
    let first = format!("AWS4{}", key.secret).into_bytes();
    let signing = [day, region, "s3", "aws4_request"]
        .into_iter()
        .fold(first, |key, part| hmac(&key, part));
    let signature = hex(&hmac(&signing, &to_sign));
    let id = &key.id;
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope},SignedHeaders={names},Signature={signature}")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_published_example() {
        let key = S3Key {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/test.txt").unwrap();
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com".to_owned()),
            ("range", "bytes=0-9".to_owned()),
            ("x-amz-content-sha256", hex(&Sha256::digest(""))),
            ("x-amz-date", "20130524T000000Z".to_owned()),
        ];
        let signed = authorization(&key, "us-east-1", "GET", &url, &headers);
        let expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert!(
            signed.ends_with(&format!("Signature={expected}")),
            "{signed}"
        );
    }

    #[test]
    fn keys_are_written_so_that_they_are_read_again() {
        let names = ["a&b<c>", "d\re f"].map(str::to_owned);
        assert_eq!(
            document(&names),
            "<Delete><Quiet>true</Quiet><Object><Key>a&amp;b&lt;c&gt;</Key></Object>\
             <Object><Key>d&#13;e f</Key></Object></Delete>"
        );
    }

    #[test]
    fn a_bucket_with_borders_has_a_host_of_its_own() {
        let host = |jurisdiction: Option<&str>| {
            let bucket = Bucket {
                name: "b".to_owned(),
                jurisdiction: jurisdiction.map(str::to_owned),
            };
            endpoint("id", &bucket)
        };
        assert_eq!(host(None), "https://id.r2.cloudflarestorage.com");
        assert_eq!(host(Some("eu")), "https://id.eu.r2.cloudflarestorage.com");
    }
}

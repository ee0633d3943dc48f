//! JSON Web Tokens (RFC 7519) signed with HMAC-SHA256, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::Sha256;

use crate::protocol::error::Error;
use crate::protocol::number::integer;

/// How much the clocks of who made a token and of this server may differ, in seconds.
pub const LEEWAY: u64 = 5;

/// The longest token taken, in bytes; a real one has about 200.
pub const MAX_BYTES: usize = 4096;

/// The shortest secret that signs, in bytes: as long as the hash (RFC 7518 section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The largest `exp` and `nbf` taken: up to here a number counts whole seconds exactly.
const MAX_DATE: f64 = 9_007_199_254_740_991.0;

/// A token taken apart. Nothing in it is to be believed before [`Token::verify`] has agreed.
pub struct Token<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    claims: Claims,
}

impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not its text, with which one could use it.
        f.debug_struct("Token")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claims {
    /// The project.
    pub sub: String,
    /// `read` or `write`.
    pub scope: String,
    /// When it ends, in seconds since the Unix epoch; with a fraction, the next whole one.
    #[serde(deserialize_with = "date")]
    pub exp: u64,
    /// From when on it counts, likewise.
    #[serde(
        default,
        deserialize_with = "given_date",
        skip_serializing_if = "Option::is_none"
    )]
    pub nbf: Option<u64>,
    /// The only stream it is for.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub stream_id: Option<String>,
}

impl Claims {
    /// The token that says so, signed with a secret.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`], which does not happen: each claim can be written, and any text is a
    /// key.
    pub fn sign(&self, secret: &str) -> Result<String, Error> {
        const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
        let wrong = |_| Error::Misconfigured("a token cannot be signed".to_owned());
        let claims = serde_json::to_vec(self).map_err(|error| wrong(error.to_string()))?;
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
        let mac = mac.map_err(|error| wrong(error.to_string()))?;
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", encode(HEADER.as_bytes()), encode(&claims));
        let mac = mac.chain_update(&signed).finalize().into_bytes();
        Ok(format!("{signed}.{}", encode(&mac)))
    }
}

/// A claim may be absent, but not `null`: a limit that somebody tried to set is not to be lost.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A `NumericDate` (RFC 7519 section 2): any JSON number that is no date before 1970 or of another
/// geological age. The server's clock tells whole seconds, to which a fraction is rounded up:
/// before that second comes, the fraction has not passed.
fn date<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let date = f64::deserialize(from)?.ceil();
    match (0.0..=MAX_DATE).contains(&date) {
        true => Ok(integer(date)),
        false => Err(D::Error::custom("no date")),
    }
}

fn given_date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    date(from).map(Some)
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that whoever does not know them must refuse (RFC 7515 section 4.1.11).
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] for what is no token, or one of another algorithm.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        const SHAPE: Error = Error::Unauthorized("the token is not a JSON Web Token");
        const CLAIMS: Error = Error::Unauthorized(
            "the token's claims must be sub, scope and exp (in seconds since 1970), each once, \
             and may be stream_id and nbf",
        );
        if text.len() > MAX_BYTES {
            return Err(Error::Unauthorized("the token is too long"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(SHAPE)?;
        let (header, claims) = signed.split_once('.').ok_or(SHAPE)?;
        let header: Header = decode(header).ok_or(SHAPE)?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(Error::Unauthorized("the token's alg must be HS256"));
        }
        let claims: Claims = decode(claims).ok_or(CLAIMS)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| SHAPE)?;
        Ok(Self {
            signed,
            signature,
            claims,
        })
    }

    /// The project the token says it is for.
    pub fn claimed_project(&self) -> &str {
        &self.claims.sub
    }

    /// The claims, if one of `secrets` signed them and it is the time for them. The comparison
    /// takes as long for a signature that is almost right as for any other.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] says what is wrong.
    pub fn verify(self, secrets: &[String], now: u64) -> Result<Claims, Error> {
        let signed = |secret: &String| {
            let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
            mac.is_ok_and(|mac| {
                let mac = mac.chain_update(self.signed);
                mac.verify_slice(&self.signature).is_ok()
            })
        };
        if !secrets.iter().any(signed) {
            return Err(Error::Unauthorized(
                "no secret of the project has signed the token",
            ));
        }
        if now >= self.claims.exp.saturating_add(LEEWAY) {
            return Err(Error::Unauthorized("the token has expired"));
        }
        let starts_at = self.claims.nbf.unwrap_or(0);
        if now.saturating_add(LEEWAY) < starts_at {
            return Err(Error::Unauthorized("the token is not valid yet"));
        }
        Ok(self.claims)
    }
}

/// Reads a part that has to be a JSON object; serde would take an array for one, too.
fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    let is_object = text.trim_start().starts_with('{');
    is_object.then(|| serde_json::from_slice(text.as_bytes()).ok())?
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "another secret of thirty-two bytes";
    pub const NOW: u64 = 1_700_000_000;

    /// A token of any two texts, rightly signed.
    pub fn sign_texts(header: &[u8], claims: &[u8], secret: &str) -> String {
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        let mac = mac.chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", encode(&mac))
    }

    /// A token of these claims.
    pub fn sign(claims: &Value, secret: &str) -> String {
        let header = br#"{"alg":"HS256","typ":"JWT"}"#;
        sign_texts(header, claims.to_string().as_bytes(), secret)
    }

    fn claims() -> Value {
        json!({ "sub": "p", "scope": "read", "exp": NOW + 60 })
    }

    fn claims_with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    fn check_at(token: &str, secrets: &[&str], now: u64) -> Result<Claims, Error> {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Token::parse(token)?.verify(&secrets, now)
    }

    fn check(token: &str) -> Result<Claims, Error> {
        check_at(token, &[SECRET], NOW)
    }

    /// Refused, and as the client's fault.
    #[track_caller]
    fn refused(token: &str) {
        match check(token) {
            Err(Error::Unauthorized(_)) => {}
            other => panic!("{other:?} for {token:?}"),
        }
    }

    #[test]
    fn a_token_made_elsewhere_is_taken() {
        // As Python's hmac module signs {"sub": "p", "scope": "write", "exp": 4102444800}.
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
                     eyJzdWIiOiJwIiwic2NvcGUiOiJ3cml0ZSIsImV4cCI6NDEwMjQ0NDgwMH0.";
        let signature = "ED88tl9X4NFt_zsxPXOCHAZAoeDBmxSKZK8njN4rsQ8";
        let claims = check(&format!("{token}{signature}")).unwrap();
        assert_eq!((claims.sub.as_str(), claims.scope.as_str()), ("p", "write"));
        assert_eq!(
            (claims.exp, claims.nbf, claims.stream_id),
            (4_102_444_800, None, None)
        );
    }

    #[test]
    fn every_secret_is_tried_and_no_other() {
        let token = sign(&claims(), SECRET);
        for secrets in [&[SECRET][..], &[OTHER, SECRET], &[SECRET, OTHER]] {
            check_at(&token, secrets, NOW).unwrap();
        }
        for secrets in [
            &[][..],
            &[OTHER],
            &[""],
            &["0123456789abcdef0123456789abcdeF"],
        ] {
            let refusal = check_at(&token, secrets, NOW).unwrap_err();
            assert!(refusal.to_string().contains("no secret"), "{refusal}");
        }
    }

    #[test]
    fn a_token_ends_at_its_time_and_the_leeway() {
        let at = |now| check_at(&sign(&claims(), SECRET), &[SECRET], now);
        at(NOW + 59).unwrap();
        at(NOW + 60 + LEEWAY - 1).unwrap();
        assert!(
            at(NOW + 60 + LEEWAY)
                .unwrap_err()
                .to_string()
                .contains("expired")
        );
        at(u64::MAX).unwrap_err();
    }

    #[test]
    fn a_token_counts_from_its_start_on() {
        let token = sign(&claims_with("nbf", json!(NOW + 30)), SECRET);
        let at = |now| check_at(&token, &[SECRET], now);
        at(NOW + 30 - LEEWAY).unwrap();
        let early = at(NOW + 30 - LEEWAY - 1).unwrap_err();
        assert!(early.to_string().contains("not valid yet"), "{early}");
    }

    #[test]
    fn no_other_algorithm_is_taken() {
        let claims = claims().to_string();
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"alg":"HS384"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"ES256"}"#,
            r#"{"alg":""}"#,
            r#"{"alg":null}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"alg":"none","alg":"HS256"}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            "HS256",
            "[]",
            "",
        ] {
            let token = sign_texts(header.as_bytes(), claims.as_bytes(), SECRET);
            refused(&token);
            // As `none` is meant: with nothing for a signature.
            let (signed, _) = token.rsplit_once('.').unwrap();
            refused(&format!("{signed}."));
            refused(signed);
        }
    }

    #[test]
    fn claims_of_another_type_are_refused() {
        for (name, values) in [
            (
                "exp",
                vec![
                    json!("1800000000"),
                    json!("1.8e9"),
                    json!(-1),
                    json!(-1.5),
                    json!(-1.8e9),
                    json!(9.1e15),
                    json!(1u64 << 53),
                    json!(1u64 << 63),
                    json!(u64::MAX),
                    json!(1e300),
                    json!(null),
                    json!(true),
                    json!([1_800_000_000]),
                ],
            ),
            (
                "nbf",
                vec![
                    json!("0"),
                    json!(null),
                    json!(-1),
                    json!(-1.5),
                    json!(1u64 << 63),
                    json!(1e300),
                ],
            ),
            ("sub", vec![json!(null), json!(1), json!(["p"])]),
            (
                "scope",
                vec![json!(null), json!(["read", "write"]), json!(7)],
            ),
            (
                "stream_id",
                vec![json!(null), json!(1), json!(["s"]), json!({})],
            ),
        ] {
            for value in values {
                refused(&sign(&claims_with(name, value), SECRET));
            }
        }
        for missing in ["sub", "scope", "exp"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(missing);
            refused(&sign(&claims, SECRET));
        }
    }

    #[test]
    fn dates_may_have_fractions_and_exponents() {
        for (date, whole) in [
            ("1700000060", 1_700_000_060),
            ("1700000060.0", 1_700_000_060),
            ("1700000059.001", 1_700_000_060),
            ("1700000059.999", 1_700_000_060),
            ("4102444800.5", 4_102_444_801),
            ("4.1e9", 4_100_000_000),
            ("18E8", 1_800_000_000),
            ("1.8e+9", 1_800_000_000),
        ] {
            let header = br#"{"alg":"HS256"}"#;
            let text = format!(r#"{{"sub":"p","scope":"read","exp":{date},"nbf":0.5,"iat":1.5}}"#);
            let claims = check(&sign_texts(header, text.as_bytes(), SECRET)).unwrap();
            assert_eq!((claims.exp, claims.nbf), (whole, Some(1)), "{date}");
        }
        for date in ["1e999", "-1e9", "-1.1", "NaN", "Infinity", "1.", ".5", "+1"] {
            let header = br#"{"alg":"HS256"}"#;
            let text = format!(r#"{{"sub":"p","scope":"read","exp":{date}}}"#);
            refused(&sign_texts(header, text.as_bytes(), SECRET));
        }
    }

    #[test]
    fn claims_are_one_json_object_with_each_name_once() {
        let header = br#"{"alg":"HS256"}"#;
        for text in [
            &br#"{"sub":"p","sub":"p","scope":"read","exp":1700000060}"#[..],
            br#"{"sub":"q","sub":"p","scope":"read","exp":1700000060}"#,
            br#"{"sub":"p","scope":"read","exp":1700000060,"exp":1800000000}"#,
            br#"{"sub":"p","scope":"read","exp":1700000060,"stream_id":"a","stream_id":"b"}"#,
            br#"{"sub":"p","scope":"read","exp":1700000060} {}"#,
            br#"["p","read",1700000060]"#,
            b"{\"sub\":\"p\",\"scope\":\"read\",\"exp\":1700000060,\"x\":\"\xff\"}",
            b"\xef\xbb\xbf{\"sub\":\"p\",\"scope\":\"read\",\"exp\":1700000060}",
            b"{\"sub\":\"p\xff\",\"scope\":\"read\",\"exp\":1700000060}",
            b"",
            b"null",
        ] {
            refused(&sign_texts(header, text, SECRET));
        }
        let other = br#"{"sub":"p","scope":"read","exp":1700000060,"iat":1,"x":[{}],"x":2}"#;
        check(&sign_texts(header, other, SECRET)).unwrap();
    }

    #[test]
    fn what_is_huge_is_refused_before_it_is_looked_at() {
        let long = sign(&claims_with("x", json!("x".repeat(MAX_BYTES))), SECRET);
        assert!(check(&long).unwrap_err().to_string().contains("too long"));
        let nested = "[".repeat(2900);
        refused(&sign_texts(
            br#"{"alg":"HS256"}"#,
            nested.as_bytes(),
            SECRET,
        ));
        refused(&sign_texts(nested.as_bytes(), b"{}", SECRET));
    }

    #[test]
    fn other_spellings_of_a_right_token_are_refused() {
        let token = sign(&claims(), SECRET);
        for other in [
            format!("{token}="),
            format!("{token}."),
            format!("{token}.x"),
            format!(" {token}"),
            format!("{token}\n"),
            format!("Bearer {token}"),
            format!("{token}, {token}"),
            token.replace('.', ".."),
            token.replace('.', ""),
            token.to_uppercase(),
        ] {
            refused(&other);
        }
        // 32 bytes end in the middle of a character, so some of its bits say nothing.
        let last = token.chars().last().unwrap();
        for other in ('A'..='Z').chain('a'..='z').chain('0'..='9') {
            if other != last {
                refused(&format!("{}{other}", &token[..token.len() - 1]));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_says_what_it_said(
            sub in "\\PC{0,20}",
            scope in "read|write",
            exp in NOW..4_102_444_800,
            nbf in proptest::option::of(0..NOW),
            stream_id in proptest::option::of("\\PC{0,40}"),
        ) {
            let claims = Claims { sub, scope, exp, nbf, stream_id };
            let token = claims.sign(SECRET).unwrap();
            prop_assert_eq!(check(&token), Ok(claims));
        }

        #[test]
        fn a_cut_token_is_refused(length in 0usize..150) {
            let token = sign(&claims(), SECRET);
            let length = length.min(token.len() - 1);
            refused(&token[..length]);
        }

        #[test]
        fn a_changed_token_is_refused(at in 0usize..150, to in "[A-Za-z0-9_.=+/ \u{e9}-]") {
            let token = sign(&claims(), SECRET);
            let at = at.min(token.len() - 1);
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            if changed != token {
                refused(&changed);
            }
        }

        #[test]
        fn any_text_is_refused(text in "\\PC{0,200}") {
            refused(&text);
        }

        #[test]
        fn any_three_parts_are_refused(
            header: Vec<u8>,
            claims: Vec<u8>,
            signature: Vec<u8>,
        ) {
            let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
            refused(&format!("{}.{}.{}", encode(&header), encode(&claims), encode(&signature)));
            refused(&sign_texts(&header, &claims, SECRET));
            refused(&sign_texts(br#"{"alg":"HS256"}"#, &claims, SECRET));
        }

        #[test]
        fn only_whole_seconds_that_are_left_are_taken(exp in any::<u64>(), now in 0..1u64 << 40) {
            let token = sign(&claims_with("exp", json!(exp)), SECRET);
            let taken = check_at(&token, &[SECRET], now).is_ok();
            prop_assert_eq!(taken, exp < 1 << 53 && now < exp + LEEWAY);
        }

        #[test]
        fn a_fraction_counts_until_it_has_passed(
            whole in 0..1u64 << 40,
            fraction in 1..1000u64,
            now in 0..1u64 << 40,
        ) {
            // As often as not, it is about the second in question.
            let now = if now % 2 == 0 { whole + LEEWAY + now % 3 } else { now };
            let text = format!(
                r#"{{"sub":"p","scope":"read","exp":{whole}.{fraction:03},"nbf":{whole}.{fraction:03}}}"#
            );
            let token = sign_texts(br#"{"alg":"HS256"}"#, text.as_bytes(), SECRET);
            let in_millis = whole * 1000 + fraction;
            let has_begun = (now + LEEWAY) * 1000 >= in_millis;
            let is_over = now * 1000 >= in_millis + LEEWAY * 1000;
            let taken = check_at(&token, &[SECRET], now).is_ok();
            prop_assert_eq!(taken, has_begun && !is_over);
        }

        #[test]
        fn any_number_is_a_date_or_refused(exp in any::<f64>().prop_filter("JSON", |f| f.is_finite())) {
            let token = sign(&claims_with("exp", json!(exp)), SECRET);
            let taken = check_at(&token, &[SECRET], 0).is_ok();
            prop_assert_eq!(taken, (-1.0..=MAX_DATE).contains(&exp) && exp.ceil() >= 0.0);
        }

        #[test]
        fn another_secret_never_signs(secret in "[ -~]{1,80}") {
            prop_assume!(secret != SECRET);
            refused(&sign(&claims(), &secret));
        }
    }
}

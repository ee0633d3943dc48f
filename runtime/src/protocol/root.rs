//! Roots: what a directory lists, and what the paths in subscriptions count from (section 6).
//!
//! A root is a project, or the place of all streams. What is asked of a root is below
//! [`RESERVED`], right behind it in the URL.

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::path::{Era, OTHER_PREFIX, PREFIX, PathError, RESERVED, StreamPath};

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Root {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    era: Option<Era>,
}

impl Root {
    /// The root of all streams.
    pub const ALL: Self = Self {
        project: None,
        era: None,
    };

    /// The root of a project.
    pub fn of_project(project: &str) -> Self {
        Self {
            project: Some(project.to_owned()),
            era: None,
        }
    }

    /// The same root in an era, which only projects have.
    #[must_use]
    pub fn in_era(self, era: Option<Era>) -> Self {
        let era = era.filter(|_| self.project.is_some());
        Self { era, ..self }
    }

    /// The project, unless it is the root of all streams.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// The era, if it has one.
    pub fn era(&self) -> Option<Era> {
        self.era
    }

    /// Takes the path of a URL, without the query, apart: the root, and what is behind
    /// [`RESERVED`], as sent and without the slash between them. Nothing if the path is not below
    /// a root's reserved segment.
    pub fn split(url_path: &str) -> Option<(Result<Self, Error>, &str)> {
        let raw = [PREFIX, OTHER_PREFIX].iter();
        let raw = raw
            .filter_map(|prefix| url_path.strip_prefix(prefix))
            .next()?;
        if let Some(rest) = below(raw) {
            return Some((Ok(Self::ALL), rest));
        }
        let (project, rest) = raw.split_once('/')?;
        let rest = below(rest)?;
        let project = StreamPath::parse(&format!("{PREFIX}{project}"));
        let root = match project {
            // An encoded slash would make two segments of one.
            Ok(path) if path.in_project().is_none() => Ok(Self::of_project(path.as_str())),
            Ok(_) | Err(PathError::Elsewhere | PathError::Reserved) => Err(Error::UnknownRoute),
            Err(error) => Err(error.into()),
        };
        Some((root, rest))
    }

    /// What the names of the objects of its streams start with.
    pub fn prefix(&self) -> String {
        match (&self.project, self.era) {
            (None, _) => String::new(),
            (Some(project), None) => format!("{project}/"),
            (Some(project), Some(era)) => format!("{RESERVED}{}/{project}/", era.prefix()),
        }
    }

    /// The name of the object of the stream at a path below this root.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is no path of a stream.
    pub fn stream(&self, path: &str) -> Result<String, Error> {
        Ok(self.stream_path(path)?.name(self.era).into_owned())
    }

    /// The whole path of the stream at a path below this root.
    ///
    /// # Errors
    ///
    /// Why it is no path of a stream.
    pub fn stream_path(&self, path: &str) -> Result<StreamPath, PathError> {
        match &self.project {
            Some(project) => StreamPath::of_decoded(&format!("{project}/{path}")),
            None => StreamPath::of_decoded(path),
        }
    }

    /// The path below this root of the stream whose object has a name; nothing if it is not below
    /// this root.
    pub fn path_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let path = name.strip_prefix(&self.prefix())?;
        // What objects alone have names for, and what is reserved, is nobody's stream.
        (path.split('/').next() != Some(RESERVED)).then_some(path)
    }

    /// The name of the object of a subscription.
    pub fn subscription(&self, id: &str) -> String {
        format!("{}{RESERVED}/subscriptions/{id}", self.prefix())
    }

    /// The URL of the root as clients know it: `origin` and what is behind it, without a slash at
    /// its end.
    pub fn url(&self, origin: &str) -> String {
        let root = PREFIX.trim_end_matches('/');
        match &self.project {
            Some(project) => format!("{origin}{root}/{}", super::path::encoded(project)),
            None => format!("{origin}{root}"),
        }
    }
}

/// What is behind the reserved segment, if a path starts with it.
fn below(raw: &str) -> Option<&str> {
    let rest = raw.strip_prefix(RESERVED)?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_all_or_a_project() {
        fn split(path: &str) -> Option<(Root, &str)> {
            Root::split(path).map(|(root, rest)| (root.unwrap(), rest))
        }
        for prefix in [PREFIX, OTHER_PREFIX] {
            let at = |rest: &str| format!("{prefix}{rest}");
            let all = at("__ds/subscriptions/a%2Fb");
            assert_eq!(split(&all), Some((Root::ALL, "subscriptions/a%2Fb")));
            let project = at("caf%C3%A9/__ds/jwks.json");
            let expected = (Root::of_project("caf\u{e9}"), "jwks.json");
            assert_eq!(split(&project), Some(expected));
            assert_eq!(split(&at("__ds")), Some((Root::ALL, "")));
            for none in ["a", "a/b/__ds/x", "__dsx", "a/__dsx/y", "%5f_ds/x"] {
                assert_eq!(split(&at(none)), None, "{none}");
            }
        }
        assert_eq!(split("/v2/__ds/x"), None);
        for wrong in ["a%2Fb/__ds/x", "../__ds/x", "%00/__ds/x", "__ds/__ds/x"] {
            let path = format!("{PREFIX}{wrong}");
            let (root, _) = Root::split(&path).unwrap();
            assert!(root.is_err() || wrong == "__ds/__ds/x", "{wrong}");
        }
    }

    #[test]
    fn names_lead_there_and_back() {
        let era = Era::parse("00c0ffee00c0ffee");
        let later = Root::of_project("p").in_era(era);
        for (root, name) in [
            (Root::ALL, "p/x/y"),
            (Root::of_project("p"), "p/p/x/y"),
            (later.clone(), "__ds/era/00c0ffee00c0ffee/p/p/x/y"),
        ] {
            assert_eq!(root.stream("p/x/y").as_deref(), Ok(name));
            assert_eq!(root.path_of(name), Some("p/x/y"));
        }
        assert_eq!(later.path_of("p/x"), None);
        assert_eq!(Root::ALL.path_of("__ds/era/00c0ffee00c0ffee/p/x"), None);
        assert_eq!(
            Root::of_project("p").subscription("a:b"),
            "p/__ds/subscriptions/a:b"
        );
        for wrong in ["", "/", "a/", "__ds/x", "a//b", "..", "a\nb"] {
            Root::of_project("p").stream(wrong).unwrap_err();
            Root::ALL.stream(wrong).unwrap_err();
        }
    }

    #[test]
    fn urls_are_what_clients_use() {
        assert_eq!(Root::ALL.url("http://a:1"), "http://a:1/v1/stream");
        assert_eq!(
            Root::of_project("a b").url("https://a"),
            "https://a/v1/stream/a%20b"
        );
    }
}

//! Where streams are.

use reqwest::Url;

use super::Error;
use crate::http::escape_path;

/// Where the streams of a server are when its URL does not say it.
const USUAL: &str = "/v1/stream";

/// The URL that the paths of streams are added to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(String);

impl Root {
    /// Takes the URL that paths are added to, such as `http://localhost:4437/v1/stream`. Where it has no
    /// path, streams are where they usually are.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is no URL, or has more than a host and a path.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::Invalid(format!("`{text}` {why}")));
        let Ok(url) = Url::parse(text.trim()) else {
            return wrong("is no URL: one is like http://localhost:4437");
        };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return wrong("is no http or https URL");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::Invalid(
                "the URL has more than a host and a path, which is not repeated here: streams cannot be \
                 below it"
                    .to_owned(),
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Invalid(
                "a URL with a password in it is shown in too many places: give credentials apart from it"
                    .to_owned(),
            ));
        }
        let path = match url.path().trim_end_matches('/') {
            "" => USUAL,
            path => path,
        };
        Ok(Self(format!(
            "{}{path}",
            url.origin().ascii_serialization()
        )))
    }

    /// The same, and then some segments.
    pub fn below(&self, path: &str) -> Self {
        Self(format!("{}/{}", self.0, escape_path(path)))
    }

    /// What a URL below it has beyond it.
    pub fn strip<'a>(&self, url: &'a str) -> &'a str {
        let path = url.strip_prefix(&self.0);
        path.and_then(|path| path.strip_prefix('/')).unwrap_or(url)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its path.
    pub fn path(&self) -> &str {
        let (_, rest) = self.0.split_once("://").unwrap_or_default();
        rest.find('/').map_or("", |at| &rest[at..])
    }

    /// What names the server: its origin, unless streams are at an unusual place of it.
    pub fn server(&self) -> &str {
        self.0.strip_suffix(USUAL).unwrap_or(&self.0)
    }

    /// The URL of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no stream can be called that.
    pub fn stream(&self, path: &str) -> Result<String, Error> {
        if !names_stream(path) {
            return Err(Error::Invalid(format!(
                "`{}` names no stream: a name is like my-stream or chats/42",
                path.escape_debug()
            )));
        }
        Ok(format!("{}/{}", self.0, escape_path(path)))
    }

    /// The path of a stream's URL, by which forks name their source.
    ///
    /// # Errors
    ///
    /// As for [`Root::stream`].
    pub fn path_of(&self, stream: &str) -> Result<String, Error> {
        let url = self.stream(stream)?;
        let url = Url::parse(&url).map_err(|error| Error::Invalid(format!("{url}: {error}")))?;
        Ok(url.path().to_owned())
    }
}

/// Whether a path can be that of a stream.
pub fn names_stream(path: &str) -> bool {
    let bad = |segment: &str| matches!(segment, "" | "." | "..");
    !path.split('/').any(bad) && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_is_that_of_a_server() {
        for (text, root) in [
            ("http://localhost:4437", "http://localhost:4437/v1/stream"),
            ("http://localhost:4437/", "http://localhost:4437/v1/stream"),
            (
                "https://x.example/v1/stream/",
                "https://x.example/v1/stream",
            ),
            ("https://x.example/streams/a", "https://x.example/streams/a"),
        ] {
            assert_eq!(Root::parse(text).unwrap().as_str(), root);
        }
        for text in [
            "",
            "x",
            "ftp://x",
            "http://x?y=1",
            "http://x/#a",
            "http://u:p@x",
        ] {
            Root::parse(text).unwrap_err();
        }
    }

    #[test]
    fn a_server_is_called_by_its_origin_where_that_is_enough() {
        let named = |url| {
            let root = Root::parse(url).unwrap();
            (root.server().to_owned(), root.path().to_owned())
        };
        let usual = ("http://h:1".to_owned(), "/v1/stream".to_owned());
        assert_eq!(named("http://h:1"), usual);
        let odd = ("http://h:1/a/b".to_owned(), "/a/b".to_owned());
        assert_eq!(named("http://h:1/a/b/"), odd);
    }

    #[test]
    fn a_stream_has_a_url_of_its_own() {
        let root = Root::parse("http://h:1").unwrap().below("chat");
        assert_eq!(
            root.stream("a b/c%").unwrap(),
            "http://h:1/v1/stream/chat/a%20b/c%25"
        );
        assert_eq!(root.path_of("é").unwrap(), "/v1/stream/chat/%C3%A9");
        for path in ["", "/a", "a/", "a//b", "..", "a/./b", "a\nb"] {
            root.stream(path).unwrap_err();
        }
    }
}

//! The files of the page, which are a part of the program.

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its path below the console's address.
    pub path: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// What is in it.
    pub content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! asset {
    ($path:literal, $type:expr, $file:literal) => {
        Asset {
            path: $path,
            content_type: $type,
            content: include_str!(concat!("../../assets/console/", $file)),
        }
    };
}

/// All there are.
const ASSETS: &[Asset] = &[
    asset!("/", HTML, "index.html"),
    asset!("/api.js", SCRIPT, "api.js"),
    asset!("/chart.js", SCRIPT, "chart.js"),
    asset!("/costs.js", SCRIPT, "costs.js"),
    asset!("/dialogs.js", SCRIPT, "dialogs.js"),
    asset!("/dom.js", SCRIPT, "dom.js"),
    asset!("/facts.js", SCRIPT, "facts.js"),
    asset!("/forks.js", SCRIPT, "forks.js"),
    asset!("/format.js", SCRIPT, "format.js"),
    asset!("/icon.svg", IMAGE, "icon.svg"),
    asset!("/inspect.js", SCRIPT, "inspect.js"),
    asset!("/json.js", SCRIPT, "json.js"),
    asset!("/keyboard.js", SCRIPT, "keyboard.js"),
    asset!("/layout.css", STYLE, "layout.css"),
    asset!("/list.js", SCRIPT, "list.js"),
    asset!("/main.js", SCRIPT, "main.js"),
    asset!("/make.js", SCRIPT, "make.js"),
    asset!("/message.js", SCRIPT, "message.js"),
    asset!("/parts.css", STYLE, "parts.css"),
    asset!("/projects.js", SCRIPT, "projects.js"),
    asset!("/reader.js", SCRIPT, "reader.js"),
    asset!("/router.js", SCRIPT, "router.js"),
    asset!("/rows.js", SCRIPT, "rows.js"),
    asset!("/sender.js", SCRIPT, "sender.js"),
    asset!("/sse.js", SCRIPT, "sse.js"),
    asset!("/stream.js", SCRIPT, "stream.js"),
    asset!("/streams.js", SCRIPT, "streams.js"),
    asset!("/subscriptions.js", SCRIPT, "subscriptions.js"),
    asset!("/tail.js", SCRIPT, "tail.js"),
    asset!("/theme.css", STYLE, "theme.css"),
    asset!("/usage.js", SCRIPT, "usage.js"),
];

/// The file at a path.
pub fn find(path: &str) -> Option<Asset> {
    ASSETS.iter().find(|asset| asset.path == path).copied()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn each_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/console");
        for file in fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let path = match name.as_str() {
                "index.html" => "/".to_owned(),
                name => format!("/{name}"),
            };
            assert!(find(&path).is_some(), "{name} is missing in ASSETS");
        }
    }

    #[test]
    fn the_page_has_no_script_of_its_own_and_asks_nobody_else() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type == HTML) {
            for part in asset.content.split("<script").skip(1) {
                let (tag, rest) = part.split_once('>').unwrap();
                assert!(
                    tag.contains("src=") && rest.starts_with("</script>"),
                    "{tag}"
                );
            }
            for way in [
                "href=\"http",
                "src=\"http",
                "<style",
                " style=\"",
                "href=\"//",
                "src=\"//",
            ] {
                assert!(!asset.content.contains(way), "{way} in {}", asset.path);
            }
        }
    }
}

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
const ASSETS: &[Asset] = &[asset!("/", HTML, "index.html")];

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

//! The states of the built-in template: filled in as cargo-generate would, which takes long to compile.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use super::Request;
use crate::{liquid, name, placeholders, scaffold::list_files};

/// What a state of the built-in template is filled in with.
pub fn values(request: &Request) -> Result<liquid::Values> {
    let mut values = placeholders::values(&request.template, &request.define)?;
    values.insert("project-name".to_owned(), request.name.clone());
    Ok(values)
}

/// Fills in a state of the built-in template and returns the folder of the result.
pub fn own(request: &Request) -> Result<PathBuf> {
    let Request { template, name, .. } = request;
    name::check(name)?;
    let values = values(request)?;
    let ignored = placeholders::ignored(template, &values)?;
    let root = request.into.join(name);
    for file in list_files(template)? {
        // What cargo-generate is told is no part of a project, and neither are its hooks.
        let is_for_it = file.ends_with(placeholders::CONFIG)
            || file
                .extension()
                .is_some_and(|extension| extension == "rhai");
        if is_for_it || ignored.iter().any(|ignored| file.starts_with(ignored)) {
            continue;
        }
        let fill = || {
            let text = fs::read_to_string(template.join(&file))?;
            let text = liquid::fill(&text, &values)?;
            let mut target = root.join(&file);
            if target
                .extension()
                .is_some_and(|extension| extension == "liquid")
            {
                target.set_extension("");
            }
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            anyhow::Ok(fs::write(target, text)?)
        };
        fill().with_context(|| format!("cannot fill in {} of the template", file.display()))?;
    }
    Ok(root)
}

#[cfg(test)]
#[path = "../../tests/common/renderer.rs"]
mod renderer;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::{render::others::run, template};

    /// Files with what they hold.
    fn files(root: &Path) -> BTreeMap<PathBuf, String> {
        let files = list_files(root).unwrap().into_iter();
        files
            .map(|file| (file.clone(), fs::read_to_string(root.join(file)).unwrap()))
            .collect()
    }

    /// Fills in a state of the template in both ways.
    struct Both {
        workshop: tempfile::TempDir,
        template: PathBuf,
        runs: usize,
    }

    impl Both {
        fn of(state: usize) -> Self {
            let workshop = tempfile::tempdir().unwrap();
            let template = template::unpack(state, &workshop.path().join("template")).unwrap();
            Self {
                workshop,
                template,
                runs: 0,
            }
        }

        fn fill(&mut self, name: &str, define: &[(&str, &str)]) -> [Result<PathBuf>; 2] {
            self.runs += 1;
            let request = |way: &str| Request {
                template: self.template.clone(),
                into: self.workshop.path().join(format!("{way}{}", self.runs)),
                name: name.to_owned(),
                define: define
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            };
            [
                own(&request("own")),
                run(renderer::program(), &request("cargo-generate")),
            ]
        }
    }

    /// Each answer that a template tells apart, in all ways to put them together. How a project is
    /// placed is in one line of its own, so the places take turns.
    #[test]
    fn the_result_is_that_of_cargo_generate() {
        const RUNTIMES: [&str; 5] = [
            "0.1.0",
            "https://git.example/r.git",
            "/home/somebody/runtime",
            r"C:\some where\runtime",
            r#"/a "quoted" folder"#,
        ];
        const JURISDICTIONS: [&str; 4] = ["", "eu", "us", "fedramp"];
        const HINTS: [&str; 10] = [
            "", "wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me",
        ];
        std::thread::scope(|scope| {
            for state in 1..=template::STATE {
                scope.spawn(move || {
                    let mut both = Both::of(state);
                    // Earlier states only tell whether there is one.
                    let jurisdictions = match state {
                        template::STATE => &JURISDICTIONS[..],
                        _ => &JURISDICTIONS[..2],
                    };
                    for auth in ["project-jwt", "none"] {
                        for runtime in RUNTIMES {
                            for jurisdiction in jurisdictions {
                                for github_actions in ["true", "false"] {
                                    let define = [
                                        ("auth", auth),
                                        ("runtime", runtime),
                                        ("jurisdiction", jurisdiction),
                                        ("location_hint", HINTS[both.runs % HINTS.len()]),
                                        ("github_actions", github_actions),
                                        ("branch", "some/branch"),
                                    ];
                                    let [ours, theirs] = both.fill("my-streams", &define);
                                    let (ours, theirs) =
                                        (files(&ours.unwrap()), files(&theirs.unwrap()));
                                    assert!(ours.len() >= 5, "{ours:?}");
                                    assert_eq!(ours, theirs, "state {state}, {define:?}");
                                }
                            }
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn the_same_values_are_left_out_trimmed_or_refused() {
        for state in 1..=template::STATE {
            let mut both = Both::of(state);
            let declared = |key: &str| {
                let config = fs::read_to_string(both.template.join(placeholders::CONFIG)).unwrap();
                config.contains(&format!("[placeholders.{key}]"))
            };
            let cases = [
                ("runtime", "", declared("branch")),
                ("runtime", "two\nlines", true),
                ("auth", "everyone", true),
                ("auth", "", true),
                ("jurisdiction", "mars", declared("jurisdiction")),
                ("location_hint", "eu", declared("location_hint")),
                ("location_hint", "weur ", declared("location_hint")),
                ("compatibility_date", "today", true),
                ("compatibility_date", "2026-01-01x", true),
                ("compatibility_date", "", true),
                ("compatibility_date", "  2026-01-01", false),
                ("github_actions", "yes", true),
                ("branch", "a b", declared("branch")),
                ("branch", "trunk", false),
                ("os-arch", "other", false),
            ];
            for (key, value, is_refused) in cases {
                let mut define = vec![(key, value)];
                if key != "runtime" {
                    define.push(("runtime", "0.1.0"));
                }
                let [ours, theirs] = both.fill("my-streams", &define);
                assert_eq!(
                    theirs.is_err(),
                    is_refused,
                    "state {state}, {key}={value}: {theirs:?}"
                );
                match (ours, theirs) {
                    (Ok(ours), Ok(theirs)) => assert_eq!(files(&ours), files(&theirs)),
                    (Err(error), Err(_)) => {
                        assert!(error.to_string().contains(key), "{error}");
                    }
                    (ours, theirs) => panic!("state {state}, {key}={value}: {ours:?} {theirs:?}"),
                }
            }
        }
        let [ours, theirs] = Both::of(template::STATE).fill("my-streams", &[]);
        for error in [ours.unwrap_err(), theirs.unwrap_err()] {
            assert!(
                error.to_string().contains("needs a value for `runtime`"),
                "{error}"
            );
        }
        let [ours, theirs] = Both::of(template::STATE).fill("test", &[("runtime", "0.1.0")]);
        for error in [ours.unwrap_err(), theirs.unwrap_err()] {
            assert!(error.to_string().contains("reserved"), "{error}");
        }
    }
}

//! What the READMEs and the guides show, run as it stands there against what `dev` serves. A block of the
//! shell that is marked `cloudflare` is not run; that its commands are some is tested with the program.
//! Blocks of Rust are compiled with the runtime.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::places::{Scratch, repository, work_dir};
use durable_streams_tests::process::kill_group;
use durable_streams_tests::project::{Auth, Project, cli};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{npm, wait_until};
use serde_json::Value;
use ureq::http::Method;

use crate::JSON;

/// The project of whoever reads a guide, and ours.
const PROJECTS: [&str; 2] = ["my-streams", "my-projects"];

/// Lines that other tests run, and people.
const ELSEWHERE: [&str; 5] = [
    "cargo run -- init ~/my-streams --yes --dev",
    "cargo test --workspace",
    "durable-streams dev",
    "durable-streams login",
    "durable-streams deploy --create-project my-streams",
];

/// What has to be printed, beside that nothing fails. Lines of what follows for ever begin with its name.
const PRINTED: [(&str, &[&str]); 6] = [
    (
        "README.md",
        &[
            r#"ds stream follow my-stream: {"op":"insert","text":"hello"}"#,
            "curl: event: control",
            r#""subscription_id":"mails""#,
            "mails: webhook to ",
        ],
    ),
    ("docs/auth.md", &["shop: 1 secret, "]),
    (
        "docs/first-stream.md",
        &[
            r#"ds stream follow orders: {"id":3}"#,
            "ended: ds stream follow orders",
            "curl: data:one line",
        ],
    ),
    (
        "docs/subscriptions.md",
        &[
            "mails: webhook to ",
            r#"ds stream follow inbox: {"stream":"orders/1","offset":""#,
            r#""data":{"paid":5}}"#,
        ],
    ),
    (
        "runtime/README.md",
        &["HTTP/1.1 20", "curl: event: control"],
    ),
    (
        PROJECT_README,
        &[r#"durable-streams stream follow my-stream: {"op":"insert","text":"hello"}"#],
    ),
];

/// The name of the README that `init` writes.
const PROJECT_README: &str = "README.md of a project";

/// What fails a line of a guide, and lets those after it go on while it follows a stream.
const PRELUDE: &str = r#"
set -Eeuo pipefail
trap 'printf "\nfailed: %s\n" "$BASH_COMMAND"' ERR
follow() {
  local what=$1
  shift
  printf '\nfollows: %s\n' "$what"
  { command "$@" | sed -u "s|^|$what: |"; printf '\nended: %s\n' "$what"; } &
}
program() {
  case "$*" in *" stream follow "*) follow "$*" "$@" ;; *) command "$@" ;; esac
}
ds() { program ds "$@"; }
durable-streams() { program durable-streams "$@"; }
curl() {
  case " $* " in
    *" -N "*) follow curl curl -fsS "$@" ;;
    *http_code*) command curl "$@" ;;
    *) command curl -fsS "$@" ;;
  esac
}
"#;

/// A text with blocks.
struct Page {
    name: String,
    text: String,
}

impl Page {
    fn of_repository(name: &str) -> Result<Self> {
        let path = repository().join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            text,
        })
    }

    /// All of them that are no template.
    fn all() -> Result<Vec<Self>> {
        let mut names = vec!["README.md".to_owned(), "runtime/README.md".to_owned()];
        for entry in fs::read_dir(repository().join("docs"))? {
            let name = entry?.file_name().into_string();
            let name = name.ok().context("a name that is no text")?;
            names.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
        }
        names.sort();
        names.iter().map(|name| Self::of_repository(name)).collect()
    }

    /// The blocks of a language, whatever stands before it in their lines.
    fn blocks(&self, language: &str) -> Vec<&str> {
        let odd = self.text.split("```").skip(1).step_by(2);
        let blocks = odd.filter_map(|block| block.split_once('\n'));
        let blocks = blocks.filter(|(tag, _)| *tag == language);
        blocks.map(|(_, block)| block).collect()
    }

    /// The only block of a language.
    fn block(&self, language: &str) -> Result<&str> {
        let blocks = self.blocks(language);
        ensure!(
            blocks.len() == 1,
            "{} blocks in {}",
            blocks.len(),
            self.name
        );
        Ok(blocks[0])
    }

    /// All that is for the shell, in its order, but for what is run elsewhere.
    fn script(&self) -> String {
        let blocks = self.blocks("sh").concat();
        let lines = blocks.lines().filter(|line| !ELSEWHERE.contains(line));
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn printed(&self) -> &'static [&'static str] {
        let found = PRINTED.iter().find(|(name, _)| *name == self.name);
        found.map_or(&[], |(_, texts)| texts)
    }
}

/// A project that is served, as whoever reads a guide has it.
struct Desk {
    project: Project,
    dev: Dev,
    programs: Scratch,
    /// In place of the port 3000, which may be somebody's.
    port: String,
}

impl Desk {
    fn new() -> Result<Self> {
        let project = Project::take_empty(Auth::ProjectJwt)?;
        let programs = Scratch::new("guides")?;
        for name in ["ds", "durable-streams"] {
            symlink(cli()?, programs.path().join(name))?;
        }
        let backup = project.dir.join("backup");
        if backup.exists() {
            fs::remove_dir_all(backup)?;
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self {
            dev: Dev::start(&project)?,
            project,
            programs,
            port: listener.local_addr()?.port().to_string(),
        })
    }

    /// A program in the project, with what `dev` prints.
    fn command(&self, program: &str) -> Result<Command> {
        let path = env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.programs.path().display());
        let mut command = Command::new(program);
        command
            .current_dir(&self.project.dir)
            .env("PATH", path)
            // Nothing that is shown finds the credentials of whoever runs the tests.
            .env("HOME", self.programs.path())
            .env("XDG_CONFIG_HOME", self.programs.path())
            .env_remove("CLOUDFLARE_API_TOKEN")
            .env_remove("CLOUDFLARE_API_KEY")
            .envs(&self.dev.document().variables);
        Ok(command)
    }

    /// What is said of somebody's project, said of ours.
    fn here(&self, text: &str) -> String {
        let served = format!("127.0.0.1:{}", self.dev.document().port);
        text.replace(PROJECTS[0], PROJECTS[1])
            .replace("127.0.0.1:4437", &served)
            .replace("3000", &self.port)
    }

    /// Runs what a page has for the shell.
    fn run(&self, page: &Page) -> Result<()> {
        let log = work_dir("logs")?.join(page.name.replace(['/', ' '], "-"));
        let output = File::create(&log)?;
        let script = self.here(&page.script());
        let mut bash = self.command("bash")?;
        bash.arg("-c").arg(format!("{PRELUDE}{script}"));
        bash.stdin(Stdio::null()).stdout(output.try_clone()?);
        let child = bash.stderr(output).process_group(0).spawn()?;
        let mut group = Group(child);
        let printed = || anyhow::Ok(fs::read_to_string(&log)?.replace('\r', ""));
        let mut status = None;
        wait_until(&format!("{} has been run", page.name), || {
            status = group.0.try_wait()?;
            Ok(status.is_some())
        })?;
        let succeeded = status.is_some_and(|status| status.success());
        ensure!(succeeded, "{}: {}", page.name, printed()?);
        // What runs in the background may be on its way: each stream that is followed has something.
        let followed = printed()?;
        let followed = followed
            .lines()
            .filter_map(|line| line.strip_prefix("follows: "));
        let mut texts: Vec<String> = followed.map(|what| format!("{what}: ")).collect();
        texts.extend(page.printed().iter().map(|text| (*text).to_owned()));
        for text in texts {
            wait_until(&text, || {
                let printed = printed()?;
                Ok(printed.contains(&text) || printed.contains("\nfailed: "))
            })
            .with_context(|| format!("{}: {}", page.name, printed().unwrap_or_default()))?;
        }
        // What follows goes on, unless that is its end.
        let goes_wrong = |line: &str| {
            line.starts_with("failed: ")
                || line.starts_with("ended: ") && !page.printed().contains(&line)
        };
        let printed = printed()?;
        ensure!(!printed.lines().any(goes_wrong), "{}: {printed}", page.name);
        Ok(())
    }

    /// Runs a module of JavaScript where the clients are installed, and lets it print.
    fn node(&self, module: &str, prelude: &str, variables: &[(&str, &str)]) -> Result<Child> {
        let prelude_path = self.programs.path().join("prelude.mjs");
        fs::write(&prelude_path, prelude)?;
        let mut node = self.command("node")?;
        let mut child = node
            .args(["--input-type=module", "--import"])
            .arg(&prelude_path)
            .current_dir(npm::installed("clients")?)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(self.here(module).as_bytes())?;
        Ok(child)
    }

    /// A stream of the project, for whoever may write.
    fn stream(&self, name: &str) -> Result<Stream> {
        Ok(Stream::named(
            &self.dev.writer()?,
            &format!("{}/{name}", PROJECTS[1]),
            JSON,
        ))
    }
}

/// What runs in the background, which ends with this.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        kill_group(&self.0);
        let _ = self.0.wait();
    }
}

/// What a program of Node.js prints until it ends by itself.
fn printed(child: Child) -> Result<String> {
    let mut group = Group(child);
    let mut status = None;
    wait_until("it has ended", || {
        status = group.0.try_wait()?;
        Ok(status.is_some())
    })?;
    let succeeded = status.is_some_and(|status| status.success());
    ensure!(succeeded, "it ended with {status:?}");
    let stdout = group.0.stdout.take().context("no stdout")?;
    Ok(io::read_to_string(stdout)?)
}

#[test]
fn what_readmes_and_guides_show_works() -> Result<()> {
    let desk = Desk::new()?;
    let pages = Page::all()?;
    let mut wrong = Vec::new();
    for page in pages.iter().filter(|page| !page.script().is_empty()) {
        wrong.extend(desk.run(page).err().map(|error| format!("{error:#}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    let find = |name: &str| {
        pages
            .iter()
            .find(|page| page.name == name)
            .context("no page")
    };
    page_of_a_guide(&desk, find("docs/pages.md")?)?;
    let runtime = find("runtime/README.md")?;
    signature_of_a_webhook(&desk, runtime)?;
    fields_of_a_stream(&desk, runtime)?;
    desk.dev.interrupt()?;
    Ok(())
}

#[test]
fn what_the_readme_of_a_new_project_shows_works() -> Result<()> {
    let desk = Desk::new()?;
    let page = Page {
        name: PROJECT_README.to_owned(),
        text: fs::read_to_string(desk.project.dir.join("README.md"))?
            .replace(PROJECTS[1], PROJECTS[0]),
    };
    desk.run(&page)?;

    // A token that a backend signs by itself.
    let shown = desk
        .project
        .json(&["projects", "show", PROJECTS[1], "--show-secret"])?;
    let secret = shown["secret"].as_str();
    let secret = secret.with_context(|| format!("no secret in {shown}"))?;
    let module = format!("{}\nconsole.log(token)", page.block("js")?);
    let token = printed(desk.node(&module, "", &[("SECRET", secret)])?)?;
    let bearer = format!("Bearer {}", token.trim());
    let reader = desk.dev.client().with_header("authorization", bearer);
    desk.stream("my-stream")?.on(&reader).head()?.expect(200)?;
    desk.dev.interrupt()?;
    Ok(())
}

#[test]
fn what_is_run_elsewhere_is_shown() -> Result<()> {
    let mut pages = Page::all()?;
    pages.push(Page::of_repository("template/README.md")?);
    let shown: String = pages.iter().flat_map(|page| page.blocks("sh")).collect();
    let shown = shown.replace(
        "{% if auth != \"none\" %} --create-project {{project-name}}{% endif %}",
        " --create-project my-streams",
    );
    let lines: BTreeSet<&str> = shown.lines().collect();
    for line in ELSEWHERE {
        assert!(lines.contains(line), "{line}");
    }
    for (name, _) in PRINTED {
        let is_there = pages.iter().any(|page| page.name == name);
        assert!(is_there || name == PROJECT_README, "{name}");
    }
    Ok(())
}

/// A page that follows a chat with a token from a route of the worker, which is a function here.
fn page_of_a_guide(desk: &Desk, page: &Page) -> Result<()> {
    const PAGE: &str = r#"
        globalThis.location = new URL(process.env.URL)
        const { fetch } = globalThis
        globalThis.fetch = async (input, init) =>
          input === "/token/7" ? Response.json({ token: process.env.READ }) : fetch(input, init)
        globalThis.show = (message) => {
          console.log(JSON.stringify(message))
          if (message.n === 2) process.exit()
        }
    "#;
    let chat = desk.stream("chats/7")?;
    chat.put().send_bytes(br#"{"n":1}"#)?.expect(201)?;
    let shown = desk.node(page.block("js")?, PAGE, &[])?;
    chat.append(r#"{"n":2}"#)?;
    assert_eq!(printed(shown)?, "{\"n\":1}\n{\"n\":2}\n");
    Ok(())
}

/// What a receiver checks of a delivery, with one that came.
fn signature_of_a_webhook(desk: &Desk, page: &Page) -> Result<()> {
    const RECEIVER: &str = r#"
        import { createServer } from "node:http"
        const requests = []
        const server = createServer((request, response) => {
          const parts = []
          request.on("data", (part) => parts.push(part)).on("end", () => {
            response.end('{"done":true}')
            globalThis.got([request.headers["webhook-signature"], Buffer.concat(parts)])
          })
        })
        globalThis.delivery = new Promise((resolve) => (globalThis.got = resolve))
        server.listen(process.env.PORT, "127.0.0.1")
    "#;
    let check = format!(
        r#"import {{ createPublicKey, verify }} from "node:crypto"
        const [header, sent] = await delivery
        const jwks = await (await fetch(`${{process.env.URL}}/__ds/jwks.json`)).json()
        const check = (body) => {{ {} ; return isRight }}
        console.log(check(sent), check(Buffer.concat([sent, Buffer.from(" ")])))
        process.exit()"#,
        page.block("js")?
    );
    let check = desk.node(&check, RECEIVER, &[("PORT", &desk.port)])?;
    let url = format!("http://127.0.0.1:{}/hook", desk.port);
    let create = ["subscriptions", "create", "signed", "--type", "webhook"];
    let what = ["--webhook-url", &url, "--pattern", "signed/*"];
    desk.project.run(&[&create[..], &what].concat())?;
    desk.stream("signed/1")?
        .put()
        .send_bytes(b"[1]")?
        .expect(201)?;
    assert_eq!(printed(check)?, "true false\n");
    Ok(())
}

/// The fields of what is known of a stream.
fn fields_of_a_stream(desk: &Desk, page: &Page) -> Result<()> {
    let shown: Value = serde_json::from_str(page.block("json")?)?;
    let path = format!("/v1/stream/{}/__ds/streams/signed/1", PROJECTS[1]);
    let call = desk.dev.writer()?.call(Method::GET, &path);
    let answer: Value = serde_json::from_slice(&call.send()?.expect(200)?.body)?;
    let names = |value: &Value| -> Result<BTreeSet<String>> {
        let object = value.as_object().with_context(|| format!("{value}"))?;
        Ok(object.keys().cloned().collect())
    };
    assert_eq!(names(&answer)?, names(&shown)?);
    assert_eq!(names(&answer["hot"])?, names(&shown["hot"])?);
    Ok(())
}

//! A local session: build, serve, and do both again when the sources change, until told to end.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    args::values::DEFAULT_PORT,
    bundle::{self, Effort},
    dev_vars::DevVars,
    error::problem,
    interrupt::{self, Interrupted},
    keys::{self, Key, Keys},
    local::{
        Server, Serving, data, date, exports,
        listen::{self, Listen},
    },
    project::{Here, Lock, Project, SCRIPT, Work, last_url},
    toolchain::{self, Toolchain},
    ui::{self, Ui},
    variables,
    watch::Watch,
};

/// A workerd that ends sooner than this after its start has not really run.
const STABLE: Duration = Duration::from_secs(5);
/// How often in a row workerd may end that soon.
const ATTEMPTS: u32 = 3;

/// A local session.
#[derive(Debug)]
pub struct Session<'a> {
    ui: &'a Ui,
    project: Project,
    dev_vars: DevVars,
    toolchain: Toolchain,
    server: Server,
    address: SocketAddr,
    /// The name that its Durable Objects were made under.
    objects_of: String,
    watch: Watch,
    keys: Option<Keys>,
    /// Keeps others from the data, and says where it serves.
    _lock: Lock,
}

impl<'a> Session<'a> {
    /// Builds and serves the project in a folder.
    pub fn start(ui: &'a Ui, here: &Here, listen: Listen) -> Result<Self> {
        interrupt::note_interrupts();
        let mut project = Project::open(here)?;
        project.check_environment(ui)?;
        let dev_vars = DevVars::read(ui, &project)?;
        check(&project, &dev_vars)?;
        let listen = listen.or_as_in(&project)?;
        let last = last_url(&project);
        let mut lock = take(&project)?;
        listen.find_after(last.as_deref())?;
        warn_of_others(ui, &project);
        // What changes from here on, while tools are installed, makes another build.
        let watch = Watch::start(ui, &project.root)?;
        let toolchain = toolchain::ready(ui, &project)?;
        let bundle = Lock::wait(ui, &project, Work::Bundle, "dev")?;
        ui.step("Building the worker", || {
            bundle::build(ui, &project, &toolchain, Effort::Quick)
        })?;
        watch.apart(|| upgrade(ui, &mut project))?;
        check_exports(&project)?;
        let objects_of = settle(ui, &project)?;
        // The build takes minutes the first time, long enough for another program to take the port.
        let address = find(ui, listen)?;
        let server = ui.step("Starting workerd", || {
            let what = Serving {
                project: &project,
                dev_vars: &dev_vars,
                address,
                objects_of: &objects_of,
            };
            Server::start(ui, &toolchain, what)
        })?;
        drop(bundle);
        lock.serve_at(&listen::url(address))?;
        Ok(Self {
            ui,
            project,
            dev_vars,
            toolchain,
            server,
            address,
            objects_of,
            watch,
            keys: ui.can_ask().then(Keys::read).flatten(),
            _lock: lock,
        })
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        listen::url(self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The id of the Node process.
    pub fn node_pid(&self) -> u32 {
        self.server.node_pid()
    }

    /// Keys that a person presses mean something.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Serves until Ctrl-C or SIGTERM; `show` says once more how it is used, with new tokens.
    pub fn run(mut self, show: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let mut early_ends = 0;
        while !interrupt::interrupted() {
            if !self.server.is_alive(Duration::from_millis(100)) {
                early_ends = if self.server.age() < STABLE {
                    early_ends + 1
                } else {
                    0
                };
                self.revive(early_ends)?;
            }
            let mut pressed = self.keys.as_ref().map(Keys::pressed).unwrap_or_default();
            // What is pressed again and again while something is done is wanted once.
            pressed.dedup();
            for key in pressed {
                match key {
                    Key::Quit => return self.end(),
                    Key::Restart => self.restart("Starting workerd again")?,
                    Key::Build => self.reload("Building again")?,
                    Key::Url => self.ui.note(format!("Serving at {}", self.url())),
                    Key::Tokens => show(&self).unwrap_or_else(|error| self.ui.report(&error)),
                    Key::Help => self.ui.note(keys::HELP),
                    Key::Space => self.ui.note(""),
                }
            }
            if self.watch.changed() {
                self.reload("A change: building again")?;
            }
        }
        self.end()
    }

    fn end(self) -> Result<()> {
        self.ui.note("Stopping");
        Ok(())
    }

    /// Starts workerd again after it ended by itself. What it acknowledged is on disk.
    fn revive(&mut self, early_ends: u32) -> Result<()> {
        if interrupt::interrupted() {
            return Ok(());
        }
        if early_ends >= ATTEMPTS {
            return Err(problem(
                format!("workerd ended {ATTEMPTS} times in a row right after its start"),
                "its last words are above; `--verbose` shows more",
            ));
        }
        self.ui.warn("workerd ended by itself");
        self.restart("Starting it again")
    }

    fn restart(&mut self, why: &str) -> Result<()> {
        self.ui.note(why);
        // One of Node and workerd may still be there, and hold the port.
        self.server.end();
        let what = Serving {
            project: &self.project,
            dev_vars: &self.dev_vars,
            address: self.address,
            objects_of: &self.objects_of,
        };
        match Server::start(self.ui, &self.toolchain, what) {
            Ok(server) => {
                self.server = server;
                self.ui.note(format!("Serving again at {}", self.url()));
                Ok(())
            }
            Err(error) if error.is::<Interrupted>() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Builds again and serves the result. What does not build is reported, and the last good build
    /// goes on serving.
    fn reload(&mut self, why: &str) -> Result<()> {
        let started = Instant::now();
        self.ui.note(why);
        match self.rebuild() {
            Ok(()) => self.ui.note(format!(
                "Serving the new build after {}",
                ui::seconds(started.elapsed())
            )),
            Err(error) if error.is::<Interrupted>() => {}
            Err(error) => {
                self.ui.report(&error);
                self.ui.note("Waiting for the next change");
            }
        }
        Ok(())
    }

    fn rebuild(&mut self) -> Result<()> {
        let mut project = self.project.reopened()?;
        let dev_vars = DevVars::read(self.ui, &project)?;
        check(&project, &dev_vars)?;
        let toolchain = toolchain::ready(self.ui, &project)?;
        let _bundle = Lock::wait(self.ui, &project, Work::Bundle, "dev")?;
        bundle::build(self.ui, &project, &toolchain, Effort::Quick)?;
        self.watch.apart(|| upgrade(self.ui, &mut project))?;
        check_exports(&project)?;
        let is_settled = data::is_settled(&project) && project.name == self.project.name;
        if !is_settled {
            // A name that data lies under has changed: it moves while nobody has it open.
            self.server.end();
            self.objects_of = settle(self.ui, &project)?;
        }
        let what = Serving {
            project: &project,
            dev_vars: &dev_vars,
            address: self.address,
            objects_of: &self.objects_of,
        };
        if is_settled {
            self.server.load(what)?;
        } else {
            self.server = Server::start(self.ui, &toolchain, what)?;
        }
        self.project = project;
        self.dev_vars = dev_vars;
        self.toolchain = toolchain;
        Ok(())
    }
}

/// What can be wrong with a project before it is built.
fn check(project: &Project, dev_vars: &DevVars) -> Result<()> {
    date::check(project)?;
    variables::check_with(project, dev_vars)
}

/// What can be wrong with it afterwards.
fn check_exports(project: &Project) -> Result<()> {
    let path = project.bundle_dir(Effort::Quick).join(SCRIPT);
    let script =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    exports::check(project, &script)
}

/// Two workerds on the same data would both take appends, and lose some.
fn take(project: &Project) -> Result<Lock> {
    Lock::attempt(project, Work::Serve, "dev")?.map_err(|holder| {
        problem(
            format!("this project is served on this machine already, by {holder}"),
            "use that one, or end it first: two servers on the same data would lose some of it",
        )
    })
}

fn warn_of_others(ui: &Ui, project: &Project) {
    let settings = project.not_served().into_iter().map(str::to_owned);
    for setting in settings.chain(listen::not_followed(project.wrangler.dev())) {
        ui.warn(format!(
            "`{setting}` of {} has no effect here; `npx wrangler dev` knows it",
            project.manifest().name()
        ));
    }
}

/// Finds data that lies under names of before. Gives the name its Durable Objects have.
fn settle(ui: &Ui, project: &Project) -> Result<String> {
    let registry = Lock::wait(ui, project, Work::Registry, "dev")?;
    let objects_of = data::settle(project, &registry)?;
    if objects_of != project.name {
        ui.note(format!(
            "The worker was called {objects_of} when its local streams were made: they are served on, \
             under that name. `npx wrangler dev` does not find them"
        ));
    }
    Ok(objects_of)
}

fn find(ui: &Ui, listen: Listen) -> Result<SocketAddr> {
    let free = listen.find()?;
    if free.is_instead {
        ui.note(format!(
            "Another program uses port {DEFAULT_PORT}: taking {} instead; --port names one",
            free.address.port()
        ));
    }
    Ok(free.address)
}

/// Gives older settings what the new bundle needs. Says whether it has changed.
fn upgrade(ui: &Ui, project: &mut Project) -> Result<bool> {
    let added = project.upgrade(Effort::Quick, false)?;
    if !added.is_empty() {
        ui.note(format!(
            "{} has got what it lacked, to be kept with the project: {}",
            project.manifest().name(),
            added.join(", ")
        ));
    }
    Ok(!added.is_empty())
}

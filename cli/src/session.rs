//! A local session: build, serve, and do both again when the sources change, until told to end.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    bundle::{self, Effort},
    dev_vars::DevVars,
    error::problem,
    interrupt::{self, Interrupted},
    local::{self, Server},
    project::{Here, Lock, Project, Work},
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
    port: u16,
    watch: Watch,
    /// Keeps others from the data, and says where it serves.
    _lock: Lock,
}

impl<'a> Session<'a> {
    /// Builds and serves the project in a folder.
    pub fn start(ui: &'a Ui, here: &Here, port: u16) -> Result<Self> {
        interrupt::note_interrupts();
        let mut project = Project::open(here)?;
        let dev_vars = DevVars::read(ui, &project)?;
        variables::check_with(&project, &dev_vars)?;
        let mut lock = take(&project)?;
        let port = local::check_port(port)?;
        for setting in project.not_served() {
            ui.warn(format!(
                "`{setting}` of wrangler.toml has no effect here; `npx wrangler dev` knows it"
            ));
        }
        // What changes from here on, while tools are installed, makes another build.
        let watch = Watch::start(&project.root)?;
        let toolchain = toolchain::ready(ui, &project)?;
        let bundle = Lock::wait(ui, &project, Work::Bundle, "dev")?;
        ui.step("Building the worker", || {
            bundle::build(ui, &project, &toolchain, Effort::Quick)
        })?;
        watch.apart(|| upgrade(ui, &mut project))?;
        // The build takes minutes the first time, long enough for another program to take the port.
        let port = local::check_port(port)?;
        let server = ui.step("Starting workerd", || {
            Server::start(&project, &dev_vars, &toolchain, port)
        })?;
        drop(bundle);
        lock.serve_at(&url(port))?;
        Ok(Self {
            ui,
            project,
            dev_vars,
            toolchain,
            server,
            port,
            watch,
            _lock: lock,
        })
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The port it serves on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it serves.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The id of the Node process.
    pub fn node_pid(&self) -> u32 {
        self.server.node_pid()
    }

    /// Serves until Ctrl-C or SIGTERM.
    pub fn run(mut self) -> Result<()> {
        let mut early_ends = 0;
        while !interrupt::interrupted() {
            if !self.server.is_alive(Duration::from_millis(100)) {
                early_ends = if self.server.age() < STABLE {
                    early_ends + 1
                } else {
                    0
                };
                self.restart(early_ends)?;
            }
            if self.watch.changed() {
                self.reload()?;
            }
        }
        self.ui.note("Stopping");
        Ok(())
    }

    /// Starts workerd again after it ended by itself. What it acknowledged is on disk.
    fn restart(&mut self, early_ends: u32) -> Result<()> {
        if interrupt::interrupted() {
            return Ok(());
        }
        if early_ends >= ATTEMPTS {
            return Err(problem(
                format!("workerd ended {ATTEMPTS} times in a row right after its start"),
                "its last words are above; `--verbose` shows more",
            ));
        }
        self.ui.warn("workerd ended by itself; starting it again");
        // One of Node and workerd may still be there, and hold the port.
        self.server.end();
        match Server::start(&self.project, &self.dev_vars, &self.toolchain, self.port) {
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
    fn reload(&mut self) -> Result<()> {
        let started = Instant::now();
        self.ui.note("A change: building again");
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
        variables::check_with(&project, &dev_vars)?;
        let toolchain = toolchain::ready(self.ui, &project)?;
        let _bundle = Lock::wait(self.ui, &project, Work::Bundle, "dev")?;
        bundle::build(self.ui, &project, &toolchain, Effort::Quick)?;
        self.watch.apart(|| upgrade(self.ui, &mut project))?;
        self.server.load(&project, &dev_vars, self.port)?;
        self.project = project;
        self.dev_vars = dev_vars;
        self.toolchain = toolchain;
        Ok(())
    }
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

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Gives an older `wrangler.toml` what the new bundle needs. Says whether it has changed.
fn upgrade(ui: &Ui, project: &mut Project) -> Result<bool> {
    let added = project.upgrade(Effort::Quick, false)?;
    if !added.is_empty() {
        ui.note(format!(
            "wrangler.toml has got what it lacked, to be kept with the project: {}",
            added.join(", ")
        ));
    }
    Ok(!added.is_empty())
}

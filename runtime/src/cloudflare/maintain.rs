//! Carries out what a stream has to do besides requests, and keeps its alarm: one for everything,
//! at the time when there is something to do next.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use worker::wasm_bindgen::JsValue;
use worker::{Env, ScheduledTime, State, Storage, js_sys};

use super::live::Readers;
use super::metrics::{DataPoint, Metrics};
use super::number::number;
use super::r2::Bucket;
use super::sql::Sql;
use super::timing::now;
use crate::protocol::error::Error;
use crate::stream::Stream;
use crate::stream::tier::upkeep::{Job, Limits, Outcome};

/// The latest time a JavaScript date can hold, in milliseconds since the Unix epoch.
const MAX_DATE: u64 = 8_640_000_000_000_000;

/// While jobs are carried out, the alarm is set so many milliseconds ahead: should the machine
/// fail, it goes on then.
const SAFETY: u64 = 60_000;

/// See the module's text.
#[derive(Debug)]
pub struct Maintenance {
    stream: Rc<RefCell<Stream<Sql>>>,
    readers: Readers,
    storage: Storage,
    bucket: Option<Bucket>,
    limits: Option<Limits>,
    metrics: Metrics,
    /// Whether somebody was told that there is no bucket.
    complained: Cell<bool>,
    rows_written: Cell<f64>,
}

impl Maintenance {
    /// Looks for the bucket. Without `limits`, nothing is done but what expires.
    pub fn new(
        state: &State,
        env: &Env,
        stream: Rc<RefCell<Stream<Sql>>>,
        readers: Readers,
        limits: Option<Limits>,
    ) -> Rc<Self> {
        Rc::new(Self {
            stream,
            readers,
            storage: state.storage(),
            bucket: Bucket::from_env(env),
            limits,
            metrics: Metrics::from_env(env),
            complained: Cell::new(false),
            rows_written: Cell::new(0.0),
        })
    }

    /// Rows written for maintenance since the object was loaded, as Cloudflare counts them.
    pub fn rows_written(&self) -> f64 {
        self.rows_written.get()
    }

    /// After an append: moves data to the bucket when there is enough of it, while requests go on.
    pub fn after_append(self: &Rc<Self>, state: &State) {
        let Some(limits) = &self.limits else {
            return;
        };
        match self.stream.borrow_mut().is_due(limits, now()) {
            Ok(true) if self.bucket.is_some() => self.run_behind(state),
            Ok(true) if !self.complained.replace(true) => worker::console_error!(
                "there is no R2 binding: streams keep all of their data in their objects"
            ),
            Ok(_) => {}
            Err(error) => worker::console_error!("{error:?}"),
        }
    }

    /// Does what there is to do while requests go on.
    pub fn run_behind(self: &Rc<Self>, state: &State) {
        let this = Rc::clone(self);
        state.wait_until(async move { this.run().await });
    }

    /// Does what there is to do, and sets the alarm for what there is to do later.
    pub async fn run(&self) {
        let mut is_first = true;
        if let (Some(bucket), Some(limits)) = (&self.bucket, &self.limits) {
            while let Some(job) = self.next_job(limits) {
                if std::mem::take(&mut is_first) {
                    self.set_alarm(Some(now().saturating_add(SAFETY))).await;
                }
                self.carry_out(bucket, job).await;
            }
        }
        self.free_storage().await;
        self.schedule(!is_first).await;
    }

    /// Sets the alarm to when there is something to do next. When there never is, it is removed
    /// if it was set before.
    pub async fn schedule(&self, is_set: bool) {
        let next = if self.bucket.is_some() {
            self.stream.borrow_mut().next_alarm(now())
        } else {
            Ok(self.stream.borrow().deadline())
        };
        match next {
            Ok(None) if !is_set => {}
            Ok(next) => self.set_alarm(next).await,
            Err(error) => worker::console_error!("{error:?}"),
        }
    }

    /// Gives back the space that is left when a stream is gone with all that was to be done about
    /// it. The stream may be created anew while this is awaited, but the call itself has had its
    /// effect before.
    pub async fn free_storage(&self) {
        let leaves_nothing = self.stream.borrow_mut().leaves_nothing(now());
        if leaves_nothing != Ok(true) {
            return;
        }
        if let Err(error) = self.storage.delete_all().await {
            worker::console_error!("the storage of a deleted stream was not freed: {error}");
        }
    }

    async fn set_alarm(&self, at: Option<u64>) {
        let outcome = match at.filter(|at| *at <= MAX_DATE) {
            Some(at) => {
                let date = js_sys::Date::new(&JsValue::from_f64(number(at)));
                self.storage.set_alarm(ScheduledTime::new(date)).await
            }
            None => self.storage.delete_alarm().await,
        };
        if let Err(error) = outcome {
            // What the alarm is for is done at the next append, or with the next alarm.
            worker::console_error!("the alarm of a stream was not set: {error}");
        }
    }

    fn next_job(&self, limits: &Limits) -> Option<Job> {
        let next = self.counted(|stream| stream.next_job(limits, now())).0;
        next.unwrap_or_else(|error| {
            worker::console_error!("{error:?}");
            None
        })
    }

    async fn carry_out(&self, bucket: &Bucket, job: Job) {
        let (name, prefix) = (job.name(), job.path().to_owned());
        let (count, bytes) = job.extent();
        let outcome = attempt(bucket, &job).await.unwrap_or_else(|error| {
            worker::console_error!("to {name} data of {prefix} failed: {error:?}");
            Outcome::Failed
        });
        // What live readers wait for is read from rows, which a seal takes away.
        self.readers.send_unsent();
        let (finished, rows) = self.counted(|stream| stream.finish(job, outcome, now()));
        let outcome = match &finished {
            Ok(true) => "ok",
            Ok(false) => "failed",
            Err(error) => {
                worker::console_error!("{error:?}");
                error.code()
            }
        };
        let project = prefix.split_once('/').map(|(project, _)| project);
        self.metrics.write(|| DataPoint {
            project: project.unwrap_or_default().to_owned(),
            stream: prefix.clone(),
            operation: name,
            outcome,
            count,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            rows,
        });
    }

    /// Runs a step of maintenance, and counts the rows it writes for itself: what requests write
    /// is counted with them.
    fn counted<T>(
        &self,
        step: impl FnOnce(&mut Stream<Sql>) -> Result<T, Error>,
    ) -> (Result<T, Error>, f64) {
        let mut stream = self.stream.borrow_mut();
        let others = stream.storage().take_usage();
        let outcome = step(&mut stream);
        let rows = stream.storage().take_usage().rows_written;
        stream.storage().give_back(others);
        self.rows_written.set(self.rows_written.get() + rows);
        (outcome, rows)
    }
}

async fn attempt(bucket: &Bucket, job: &Job) -> Result<Outcome, JsValue> {
    let stored = match job {
        Job::Seal(seal) => {
            let body = js_sys::Uint8Array::from(&seal.body[..]);
            bucket.put(&seal.key, &body, &seal.content_type).await?
        }
        Job::Merge(merge) => {
            let size = merge.size();
            let put = bucket.join(&merge.key, &merge.plan, size, &merge.content_type);
            put.await?
        }
        Job::Sweep(sweep) => {
            bucket.delete(sweep.keys.clone()).await?;
            return Ok(Outcome::Removed);
        }
        Job::Purge(purge) => {
            let concerns = |key: &str| purge.concerns(key);
            bucket.delete_all(&purge.prefix, concerns).await?;
            return Ok(Outcome::Removed);
        }
    };
    let (size, etag) = stored;
    Ok(Outcome::Stored { size, etag })
}

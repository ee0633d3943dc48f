//! What is done besides requests: jobs, one after the other, while requests go on.

use std::rc::Rc;

use super::Object;
use super::ports::{Bucket, Ports};
use crate::machine::DataPoint;
use crate::patience::{self, within};
use crate::stream::tier::purge::Purge;
use crate::stream::tier::upkeep::{Abilities, Job, Outcome};

impl<P: Ports> Object<P> {
    /// What the object can do: without a bucket or with malformed limits, some jobs have to wait.
    pub(super) fn abilities(&self) -> Abilities {
        let bucket = self.ports.bucket().is_some();
        Abilities {
            bucket,
            limits: self.settings.segments.as_ref().ok().copied(),
        }
    }

    /// After an append: moves data to the bucket when there is enough of it, and drops what is not
    /// to be kept.
    pub(super) fn after_append(self: &Rc<Self>) {
        if self.alarm.working.get() {
            return;
        }
        let now = self.ports.now();
        let may_drop = self.stream.borrow_mut().may_drop(now);
        match may_drop {
            Ok(true) => return self.work_behind(),
            Ok(false) => {}
            Err(error) => self.ports.log(format_args!("{error:?}")),
        }
        let Ok(limits) = &self.settings.segments else {
            return self.complain();
        };
        let is_due = self.stream.borrow_mut().is_due(limits, now);
        match is_due {
            Ok(true) if self.ports.bucket().is_some() => self.work_behind(),
            Ok(true) => self.complain(),
            Ok(false) => {}
            Err(error) => self.ports.log(format_args!("{error:?}")),
        }
    }

    /// Says once why nothing moves to the bucket.
    fn complain(&self) {
        if self.complained.replace(true) {
            return;
        }
        let why = match &self.settings.segments {
            Ok(_) => "there is no R2 binding".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        self.ports.log(format_args!(
            "streams keep all of their data in their objects: {why}"
        ));
    }

    /// Does what there is to do while requests go on. It begins in this turn: a job that is
    /// planned has an alarm from then on.
    pub(super) fn work_behind(self: &Rc<Self>) {
        let this = Rc::clone(self);
        self.ports.spawn(async move { this.work().await });
    }

    /// Does what there is to do, and sets the alarm for what there is to do later.
    pub(super) async fn work(self: &Rc<Self>) {
        if self.carry_out_all().await {
            self.schedule_surely().await;
        }
    }

    /// The same, for whoever is called again when the alarm could not be set.
    pub(super) async fn work_off(self: &Rc<Self>) -> Result<(), String> {
        self.carry_out_all().await;
        self.schedule().await
    }

    /// Carries out jobs until there is none. Says whether it did: while somebody else does, that
    /// one is told to look again.
    async fn carry_out_all(self: &Rc<Self>) -> bool {
        if self.alarm.working.replace(true) {
            self.alarm.again.set(true);
            return false;
        }
        let mut armed = false;
        loop {
            self.alarm.again.set(false);
            while let Some(job) = self.next_job() {
                // In the turn that has planned it.
                if !std::mem::replace(&mut armed, true) {
                    self.arm();
                }
                self.do_job(job).await;
            }
            self.free_storage().await;
            if !self.alarm.again.get() {
                break;
            }
        }
        self.alarm.working.set(false);
        true
    }

    fn next_job(&self) -> Option<Job> {
        let can = self.abilities();
        let now = self.ports.now();
        let (job, errors) = self
            .counted(|object| object.stream.borrow_mut().next_job(&can, now))
            .0;
        for error in errors {
            self.ports.log(format_args!("{error:?}"));
        }
        job
    }

    async fn do_job(&self, job: Job) {
        let (name, path) = (job.name(), job.path().to_owned());
        let (count, bytes) = job.extent();
        let outcome = self.attempt(&job).await.unwrap_or_else(|error| {
            self.ports
                .log(format_args!("to {name} data of {path} failed: {error}"));
            Outcome::Failed
        });
        // What live readers wait for is read from rows, which a seal takes away.
        self.deliver();
        let now = self.ports.now();
        let (finished, rows) =
            self.counted(|object| object.stream.borrow_mut().finish(job, outcome, now));
        let outcome = match &finished {
            Ok(true) => "ok",
            Ok(false) => "failed",
            Err(error) => {
                self.ports.log(format_args!("{error:?}"));
                error.code()
            }
        };
        let project = path.split_once('/').map(|(project, _)| project);
        self.ports.measure(|| DataPoint {
            project: project.unwrap_or_default().to_owned(),
            stream: path.clone(),
            operation: name,
            outcome,
            count,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            rows,
        });
    }

    async fn attempt(&self, job: &Job) -> Result<Outcome, String> {
        if let Job::Drop(_) = job {
            // Each batch is a turn of its own.
            self.ports.sleep(0).await;
            return Ok(Outcome::Removed);
        }
        let Some(bucket) = self.ports.bucket() else {
            return Err("there is no bucket".to_owned());
        };
        let (_, bytes) = job.extent();
        let work = async {
            match job {
                Job::Drop(_) => Ok(Outcome::Removed),
                Job::Seal(seal) => {
                    let put = bucket.put(&seal.key, &seal.body, &seal.content_type);
                    put.await.map(stored)
                }
                Job::Merge(merge) => {
                    let size = merge.size();
                    let put = bucket.join(&merge.key, &merge.plan, size, &merge.content_type);
                    put.await.map(stored)
                }
                Job::Sweep(sweep) => {
                    bucket.delete(sweep.keys.clone()).await?;
                    Ok(Outcome::Removed)
                }
                Job::Purge(purge) => self.delete_all(bucket, purge).await,
            }
        };
        match job {
            // Each of its steps has a limit of its own.
            Job::Purge(_) => work.await,
            _ => self.in_time(patience::to_put(bytes), work).await,
        }
    }

    async fn delete_all(&self, bucket: &P::Bucket, purge: &Purge) -> Result<Outcome, String> {
        let mut cursor = None;
        loop {
            let step = async {
                let listed = bucket.list(&purge.prefix, cursor.take()).await?;
                let keys = listed.keys.into_iter().filter(|key| purge.concerns(key));
                let keys: Vec<String> = keys.collect();
                if !keys.is_empty() {
                    bucket.delete(keys).await?;
                }
                Ok(listed.cursor)
            };
            cursor = self.in_time(patience::BUCKET, step).await?;
            if cursor.is_none() {
                return Ok(Outcome::Removed);
            }
        }
    }

    pub(super) async fn in_time<T>(
        &self,
        millis: u64,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let outcome = within(self.ports.sleep(millis), work).await;
        outcome.unwrap_or_else(|| Err(format!("no answer within {millis} ms")))
    }

    /// Gives back the space that is left when a stream is gone with all that was to be done about
    /// it. The stream may be created anew while this is awaited, but the call itself has had its
    /// effect before.
    async fn free_storage(&self) {
        let now = self.ports.now();
        let leaves_nothing = self.stream.borrow_mut().leaves_nothing(now);
        if leaves_nothing != Ok(true) {
            return;
        }
        if let Err(error) = self.ports.free_storage().await {
            self.ports.log(format_args!(
                "the storage of a deleted stream was not freed: {error}"
            ));
        }
    }
}

fn stored((size, etag): (u64, String)) -> Outcome {
    Outcome::Stored { size, etag }
}

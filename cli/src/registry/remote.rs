//! The registry of the deployed server: its KV namespace at Cloudflare, over REST.

use std::rc::Rc;

use anyhow::{Context, Result};

use super::store::{BINDING, Store, no_namespace};
use crate::{
    cloudflare::{Account, Credentials},
    error::problem,
    project::Project,
    ui::Ui,
};

/// A namespace of an account.
#[derive(Debug)]
pub struct RemoteStore {
    account: Rc<Account>,
    namespace: String,
}

impl RemoteStore {
    /// Opens the namespace of a project, with the credentials that there are.
    pub fn open(ui: &Ui, project: &Project) -> Result<Self> {
        let named = project.wrangler.account_id.as_deref();
        let account = Account::open(ui, Credentials::find()?, named)?;
        Self::of(Rc::new(account), project)
    }

    /// The same with an account that is at hand.
    pub fn of(account: Rc<Account>, project: &Project) -> Result<Self> {
        let mut namespaces = project.wrangler.kv_namespaces.iter();
        let Some(namespace) = namespaces.find(|namespace| namespace.binding == BINDING) else {
            return Err(no_namespace(project));
        };
        let id = namespace.id.clone().ok_or_else(|| {
            problem(
                format!(
                    "{} has no id for the KV namespace {BINDING} in `{}`",
                    project.manifest().name(),
                    project.key("kv_namespaces")
                ),
                "`durable-streams deploy` or `durable-streams provision` makes it and writes the id",
            )
        })?;
        Ok(Self {
            account,
            namespace: id,
        })
    }
}

impl Store for RemoteStore {
    fn get(&mut self, key: &str) -> Result<Option<String>> {
        let Some(bytes) = self.account.value(&self.namespace, key)? else {
            return Ok(None);
        };
        // The cause would quote the value, and with it a secret.
        let text = String::from_utf8(bytes).ok();
        text.map(Some)
            .with_context(|| format!("the value of {key} is no text"))
    }

    fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let bytes = value.as_bytes();
        Ok(self.account.put_value(&self.namespace, key, bytes)?)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        Ok(self.account.delete_value(&self.namespace, key)?)
    }

    fn list(&mut self) -> Result<Vec<String>> {
        Ok(self.account.keys(&self.namespace, "")?)
    }
}

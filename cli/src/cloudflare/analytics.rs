//! Analytics Engine: what was written there, asked for in its SQL.

use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    account::Account,
    client::Body,
    error::{Endpoint, Result},
};

/// An answer in the format `JSON`: columns and their types, rows, and how many.
#[derive(Debug, Deserialize)]
struct Table<T> {
    data: Vec<T>,
}

impl Account {
    /// The rows that a query finds.
    pub fn query<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>> {
        let what = "asking Analytics Engine";
        let request = self
            .request(
                Endpoint::Analytics,
                what,
                Method::POST,
                "/analytics_engine/sql",
            )
            .with(Body::Raw(sql.as_bytes()));
        let table: Table<T> = self.client.document(&request)?;
        Ok(table.data)
    }

    /// The datasets to which something has been written.
    pub fn datasets(&self) -> Result<Vec<String>> {
        let rows: Vec<serde_json::Map<String, Value>> = self.query("SHOW TABLES")?;
        let texts = rows.into_iter().flat_map(|row| row.into_iter());
        let texts = texts.filter_map(|(_, value)| value.as_str().map(str::to_owned));
        Ok(texts.collect())
    }
}

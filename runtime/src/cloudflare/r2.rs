//! The bucket of cold segments.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use worker::wasm_bindgen::prelude::*;
use worker::web_sys::{ReadableStream, WritableStream};
use worker::{Env, js_sys};

use super::config;
use crate::object::ports::{self, Listed, Stored};
use crate::protocol::error::Error;
use crate::protocol::number::{integer, number};
use crate::protocol::part::{Identity, Part, Piece, Plan};

#[wasm_bindgen(
    wasm_bindgen = worker::wasm_bindgen,
    wasm_bindgen_futures = worker::wasm_bindgen_futures,
    js_sys = worker::js_sys
)]
extern "C" {
    /// An object as R2 describes it, with its content if it was asked for.
    pub type Object;

    #[wasm_bindgen(method, getter)]
    pub fn size(this: &Object) -> f64;

    #[wasm_bindgen(method, getter)]
    pub fn etag(this: &Object) -> String;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Object) -> ReadableStream;

    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    async fn array_buffer(this: &Object) -> Result<JsValue, JsValue>;

    type Page;

    #[wasm_bindgen(method, getter)]
    fn keys(this: &Page) -> Vec<String>;

    #[wasm_bindgen(method, getter)]
    fn cursor(this: &Page) -> JsValue;

    /// A stream that fails unless exactly so many bytes are written to it.
    pub type FixedLengthStream;

    #[wasm_bindgen(constructor)]
    pub fn new(length: f64) -> FixedLengthStream;

    #[wasm_bindgen(method, getter)]
    pub fn readable(this: &FixedLengthStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    pub fn writable(this: &FixedLengthStream) -> WritableStream;

    #[wasm_bindgen(method, catch, js_name = delete)]
    async fn delete_keys(this: &BucketBinding, keys: Vec<String>) -> Result<JsValue, JsValue>;

    /// A bucket, or what stands for one.
    type BucketBinding;
}

#[wasm_bindgen(
    module = "/src/cloudflare/r2.js",
    wasm_bindgen = worker::wasm_bindgen,
    wasm_bindgen_futures = worker::wasm_bindgen_futures,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(catch, js_name = getRange)]
    async fn get_range(
        bucket: &BucketBinding,
        key: &str,
        offset: f64,
        length: f64,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = readWhole)]
    async fn read_whole(
        bucket: &BucketBinding,
        key: &str,
        take: &Closure<dyn Fn(js_sys::Uint8Array)>,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = putObject)]
    async fn put_object(
        bucket: &BucketBinding,
        key: &str,
        body: &JsValue,
        content_type: &str,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = listKeys)]
    async fn list_keys(
        bucket: &BucketBinding,
        prefix: &str,
        cursor: &JsValue,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = listBehind)]
    async fn list_behind(
        bucket: &BucketBinding,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = writeBytes)]
    async fn write_bytes(
        writable: &WritableStream,
        bytes: &js_sys::Uint8Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = writeStream)]
    async fn write_stream(
        writable: &WritableStream,
        readable: &ReadableStream,
    ) -> Result<JsValue, JsValue>;
}

/// How many objects are remembered.
const MOST_VERIFIED: usize = 1000;

thread_local! {
    /// The entity tags of objects that have another one than they were stored with, and the same
    /// content.
    static VERIFIED: RefCell<HashMap<String, String>> = RefCell::default();
}

/// See the module's text.
pub struct Bucket(BucketBinding);

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").finish_non_exhaustive()
    }
}

impl Bucket {
    /// The bucket that is bound to the worker, if one is.
    pub fn from_env(env: &Env) -> Option<Self> {
        let binding = js_sys::Reflect::get(env, &JsValue::from_str(config::R2)).ok()?;
        binding
            .is_object()
            .then(|| Self(binding.unchecked_into::<BucketBinding>()))
    }

    /// Opens the range of an object, once it is certain that it is the object that was stored.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the object cannot be had, [`Error::Storage`] when it is another.
    pub async fn open(&self, part: &Part) -> Result<Object, Error> {
        let key = &part.key;
        let object = get_range(&self.0, key, number(part.offset), number(part.length)).await;
        let object = object.map_err(|error| trouble(key, &error))?;
        if object.is_null() {
            return Err(Error::Unavailable(format!("{key} is not in the bucket")));
        }
        let object: Object = object.unchecked_into();
        let (size, etag) = (integer(object.size()), object.etag());
        let is_same = match part.identity(size, &etag) {
            Identity::Same => true,
            Identity::ToVerify => self.verify(part, &etag).await?,
            Identity::Other => false,
        };
        if !is_same {
            let found = format!("{size} bytes with tag {etag}");
            let stored = format!("{} bytes with tag {}", part.size, part.etag);
            return Err(Error::Storage(format!("{key} has {found}, not {stored}")));
        }
        Ok(object)
    }

    /// Reads an object that has another entity tag than it was stored with, and says whether it
    /// has the same content. In a bucket that was restored or copied that is so with all of them;
    /// each is read once for as long as the isolate lives.
    async fn verify(&self, part: &Part, etag: &str) -> Result<bool, Error> {
        let key = &part.key;
        let is_known = VERIFIED.with_borrow(|known| known.get(key).is_some_and(|tag| tag == etag));
        if is_known {
            return Ok(true);
        }
        let verifier = Rc::new(RefCell::new(part.verifier()));
        let shown = Rc::clone(&verifier);
        let take = Closure::new(move |chunk: js_sys::Uint8Array| {
            shown.borrow_mut().update(&chunk.to_vec());
        });
        let read = read_whole(&self.0, key, &take).await;
        let read = read.map_err(|error| trouble(key, &error))?;
        let is_same =
            read.as_string().as_deref() == Some(etag) && verifier.borrow().clone().is_same();
        if is_same {
            VERIFIED.with_borrow_mut(|known| {
                if known.len() >= MOST_VERIFIED {
                    known.clear();
                }
                known.insert(key.clone(), etag.to_owned());
            });
        }
        Ok(is_same)
    }

    /// The keys that start with a prefix, in order, behind one of them if it is given, and so many
    /// at most. The cursor is the last of them if there are more.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn list_behind(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Listed, Error> {
        let page = list_behind(&self.0, prefix, after, limit).await;
        let page: Page = page
            .map_err(|error| trouble(prefix, &error))?
            .unchecked_into();
        Ok(listed(&page))
    }

    async fn put_js(
        &self,
        key: &str,
        body: &JsValue,
        content_type: &str,
    ) -> Result<Stored, JsValue> {
        let object = put_object(&self.0, key, body, content_type).await?;
        let object: Object = object.unchecked_into();
        Ok((integer(object.size()), object.etag()))
    }

    async fn pour(&self, plan: &Plan, writable: &WritableStream) -> Result<(), JsValue> {
        for piece in plan.pieces(false) {
            match piece {
                Piece::Part(part) => {
                    let object = self.open(part).await;
                    let object =
                        object.map_err(|error| JsValue::from_str(&format!("{error:?}")))?;
                    Source::Object(object).write(writable).await?;
                }
                Piece::Text(text) => Source::text(text).write(writable).await?,
                Piece::Rest => {}
            }
        }
        Ok(())
    }
}

impl ports::Bucket for Bucket {
    async fn read(&self, part: &Part) -> Result<Vec<u8>, String> {
        let object = self.open(part).await;
        let object = object.map_err(|error| format!("{error:?}"))?;
        let bytes = Source::Object(object).bytes().await.map_err(text)?;
        Ok(bytes.to_vec())
    }

    async fn put(&self, key: &str, body: &[u8], content_type: &str) -> Result<Stored, String> {
        let body = js_sys::Uint8Array::from(body);
        self.put_js(key, &body, content_type).await.map_err(text)
    }

    async fn join(
        &self,
        key: &str,
        plan: &Plan,
        size: u64,
        content_type: &str,
    ) -> Result<Stored, String> {
        let stream = FixedLengthStream::new(number(size));
        let (readable, writable) = (stream.readable(), stream.writable());
        let put = self.put_js(key, &readable, content_type);
        let pour = async {
            let poured = self.pour(plan, &writable).await;
            end(&writable, poured).await
        };
        let (put, poured) = futures_util::future::join(put, pour).await;
        poured.and(put).map_err(text)
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), String> {
        self.0.delete_keys(keys).await.map(drop).map_err(text)
    }

    async fn list(&self, prefix: &str, cursor: Option<String>) -> Result<Listed, String> {
        let cursor = cursor.map_or(JsValue::UNDEFINED, JsValue::from);
        let page = list_keys(&self.0, prefix, &cursor).await.map_err(text)?;
        let page: Page = page.unchecked_into();
        Ok(listed(&page))
    }
}

fn listed(page: &Page) -> Listed {
    Listed {
        keys: page.keys(),
        cursor: page.cursor().as_string(),
    }
}

fn text(error: JsValue) -> String {
    format!("{error:?}")
}

/// Where a piece of an answer comes from.
pub enum Source {
    /// These bytes.
    Bytes(js_sys::Uint8Array),
    /// The content of this object.
    Object(Object),
}

impl Source {
    /// A short text.
    pub fn text(text: &[u8]) -> Self {
        Self::Bytes(js_sys::Uint8Array::from(text))
    }

    /// Writes it to a stream.
    pub async fn write(&self, writable: &WritableStream) -> Result<(), JsValue> {
        match self {
            Self::Bytes(bytes) => write_bytes(writable, bytes).await.map(drop),
            Self::Object(object) => write_stream(writable, &object.body()).await.map(drop),
        }
    }

    /// Reads it to its end.
    pub async fn bytes(&self) -> Result<js_sys::Uint8Array, JsValue> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Object(object) => Ok(js_sys::Uint8Array::new(&object.array_buffer().await?)),
        }
    }
}

/// Ends a stream to which everything was written, and breaks off one to which it was not.
pub async fn end(writable: &WritableStream, outcome: Result<(), JsValue>) -> Result<(), JsValue> {
    let promise = match &outcome {
        Ok(()) => writable.close(),
        Err(error) => writable.abort_with_reason(error),
    };
    let ended = worker::wasm_bindgen_futures::JsFuture::from(promise).await;
    outcome.and(ended.map(drop))
}

/// What R2 says when something cannot be had.
pub fn trouble(key: &str, error: &JsValue) -> Error {
    Error::Unavailable(format!("{key} cannot be read: {error:?}"))
}

//! A request as its object looks at it. Each look crosses over to JavaScript, so that there are as
//! few as can be.

use std::cell::OnceCell;

use worker::js_sys::Array;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::*;
use worker::web_sys::Request;

use crate::object::request::Incoming;
use crate::protocol::header;
use crate::protocol::request::{Append, Create};

#[wasm_bindgen(
    module = "/src/cloudflare/exchange.js",
    wasm_bindgen = worker::wasm_bindgen,
    js_sys = worker::js_sys
)]
extern "C" {
    #[wasm_bindgen(js_name = headersOf)]
    fn headers_of(request: &Request, names: &Array) -> String;
}

/// What stands for a header that is missing: no value can have it.
const MISSING: &str = "\0";

/// Names of headers, on both sides of the border.
struct Names {
    here: &'static [&'static str],
    there: Array,
}

impl Names {
    fn new(here: &'static [&'static str]) -> Self {
        let there = here.iter().map(|name| JsValue::from_str(name)).collect();
        Self { here, there }
    }
}

thread_local! {
    static OF_CREATE: Names = Names::new(Create::HEADERS);
    static OF_APPEND: Names = Names::new(Append::HEADERS);
    static OF_READ: Names = Names::new(&[header::IF_NONE_MATCH, header::STREAM_IF_PUBLIC]);
    static OF_OTHERS: Names = Names::new(&[header::STREAM_IF_PUBLIC]);
}

/// See the module's text.
pub struct Asked {
    /// The request itself.
    pub request: Request,
    method: String,
    started: f64,
    url: OnceCell<String>,
    headers: OnceCell<Headers>,
}

struct Headers {
    names: &'static [&'static str],
    /// The value of each, or [`MISSING`], in a line.
    lines: String,
}

impl Asked {
    /// A request that has come at `started` by the object's clock.
    pub fn new(request: Request, started: f64) -> Self {
        let method = request.method();
        Self {
            request,
            method,
            started,
            url: OnceCell::new(),
            headers: OnceCell::new(),
        }
    }

    /// The headers that such a request may come with.
    fn headers(&self) -> Headers {
        let names = match &*self.method {
            "PUT" => &OF_CREATE,
            "POST" => &OF_APPEND,
            "GET" => &OF_READ,
            _ => &OF_OTHERS,
        };
        names.with(|names| Headers {
            names: names.here,
            lines: headers_of(&self.request, &names.there),
        })
    }
}

impl Incoming for Asked {
    fn method(&self) -> &str {
        &self.method
    }

    fn url(&self) -> &str {
        self.url.get_or_init(|| self.request.url())
    }

    fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers.get_or_init(|| self.headers());
        match headers.names.iter().position(|known| *known == name) {
            Some(at) => {
                let value = headers.lines.split('\n').nth(at);
                value.filter(|value| *value != MISSING).map(str::to_owned)
            }
            None => self.request.headers().get(name).ok().flatten(),
        }
    }

    fn started(&self) -> f64 {
        self.started
    }
}

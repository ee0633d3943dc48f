//! Where a local run listens: as options say, else as `[dev]` of `wrangler.toml`, else on this machine
//! alone and on a port that is free.

use std::{
    fmt,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::Value;

use crate::{args::values::DEFAULT_PORT, error::problem, project::Project};

/// How many ports after the usual one are tried.
const NEXT: u16 = 20;
/// How long what is left of a server that was killed may hold its port.
const REMAINS: Duration = Duration::from_secs(5);

/// Where somebody wants to listen, as far as that was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub host: Option<IpAddr>,
    /// The port; 0 stands for any free one.
    pub port: Option<u16>,
}

/// An address that was free a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// The address.
    pub address: SocketAddr,
    /// The usual port was not free.
    pub is_instead: bool,
}

impl Listen {
    /// What was not said is taken from `[dev]` of `wrangler.toml`.
    pub fn or_as_in(self, project: &Project) -> Result<Self> {
        let said = settings(project.wrangler.dev()).map_err(|wrong| {
            problem(
                format!("{}: {wrong}", project.manifest().name()),
                "mend it, or take it out: `--host` and `--port` say it, too",
            )
        })?;
        Ok(Self {
            host: self.host.or(said.host),
            port: self.port.or(said.port),
        })
    }

    /// Finds an address to listen on. A port that somebody has named is that one or none.
    pub fn find(self) -> Result<Free> {
        let wanted = self.wanted();
        let refused = match bind(wanted) {
            Ok(address) => return Ok(Free::usual(address)),
            Err(refused) => refused,
        };
        let may_be_another = self.port.is_none() && refused.kind() == ErrorKind::AddrInUse;
        let steps = 1..=if may_be_another { NEXT } else { 0 };
        let free = steps
            .map(|step| DEFAULT_PORT.saturating_add(step))
            .map(|port| bind(SocketAddr::new(wanted.ip(), port)))
            .find_map(Result::ok);
        match free {
            Some(address) => Ok(Free {
                address,
                is_instead: true,
            }),
            None => Err(taken(wanted, &refused)),
        }
    }

    /// The same right after another run, which may have been killed, served at a URL.
    pub fn find_after(self, last: Option<&str>) -> Result<Free> {
        let (began, wanted) = (Instant::now(), self.wanted());
        let is_ours = last == Some(url(wanted).as_str());
        while is_ours && began.elapsed() < REMAINS && bind(wanted).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
        self.find()
    }

    fn wanted(self) -> SocketAddr {
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        SocketAddr::new(host, self.port.unwrap_or(DEFAULT_PORT))
    }
}

impl Free {
    fn usual(address: SocketAddr) -> Self {
        Self {
            address,
            is_instead: false,
        }
    }
}

/// Listens on a port of this machine alone: on one that was named, or else on the usual one, one of those
/// after it, or any.
pub fn take(port: Option<u16>, usual: u16) -> Result<TcpListener> {
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = port {
        return TcpListener::bind(here(port)).map_err(|refused| taken(here(port), &refused));
    }
    let ports = (0..=NEXT).map(|step| usual.saturating_add(step));
    let found = ports
        .chain([0])
        .find_map(|port| TcpListener::bind(here(port)).ok());
    match found {
        Some(listener) => Ok(listener),
        None => Err(problem(
            "this machine has no free port",
            "end some programs",
        )),
    }
}

/// How programs on this machine reach a server there.
pub fn url(address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(host, address.port()))
}

/// How others in the network reach a server that listens on all addresses, if this machine is in one.
pub fn url_in_network(address: SocketAddr) -> Option<String> {
    if !address.ip().is_unspecified() {
        return None;
    }
    // Nothing is sent: the system says from which address it would be.
    let socket = UdpSocket::bind((address.ip(), 0)).ok()?;
    let far = match address.ip() {
        IpAddr::V4(_) => "192.0.2.1:9",
        IpAddr::V6(_) => "[2001:db8::1]:9",
    };
    socket.connect(far).ok()?;
    let ours = socket.local_addr().ok()?.ip();
    let is_elsewhere = !ours.is_loopback() && !ours.is_unspecified();
    is_elsewhere.then(|| format!("http://{}", SocketAddr::new(ours, address.port())))
}

/// Reads an address as wrangler takes one.
pub fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        "*" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        text => text.parse().map_err(|_| {
            format!(
                "`{text}` is no address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of \
                 them"
            )
        }),
    }
}

/// Keys of `[dev]` that mean nothing here.
pub fn not_followed(dev: Option<&Value>) -> Vec<String> {
    let table = dev.and_then(Value::as_object).into_iter().flatten();
    let keys = table.map(|(key, _)| key.as_str());
    keys.filter(|key| !["ip", "port"].contains(key))
        .map(|key| format!("dev.{key}"))
        .collect()
}

fn settings(dev: Option<&Value>) -> Result<Listen, String> {
    let get = |key: &str| dev.and_then(|dev| dev.get(key));
    let wrong = |key: &str, value: &dyn fmt::Display, right: &str| {
        format!("`dev.{key}` is {value}, not {right}")
    };
    let address = "an address such as \"127.0.0.1\"";
    let ip = |value: &Value| {
        let parsed = value.as_str().and_then(|text| host(text).ok());
        parsed.ok_or_else(|| wrong("ip", value, address))
    };
    let port = |value: &Value| {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.ok_or_else(|| wrong("port", value, "a number from 0 to 65535"))
    };
    Ok(Listen {
        host: get("ip").map(ip).transpose()?,
        port: get("port").map(port).transpose()?,
    })
}

fn bind(address: SocketAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind(address)?.local_addr()
}

fn taken(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let (port, ip) = (address.port(), address.ip());
    let another = "name another with --port, or let `--port 0` take a free one";
    match error.kind() {
        ErrorKind::AddrNotAvailable => problem(
            format!("{ip} is no address of this machine"),
            "name one that is with --host, or 0.0.0.0 for all of them",
        ),
        ErrorKind::AddrInUse => problem(
            format!("port {port} of {ip} is not free: another program is using it"),
            another,
        ),
        ErrorKind::PermissionDenied => problem(
            format!("port {port} of {ip} is not free: this user may not use it"),
            another,
        ),
        _ => problem(
            format!("port {port} of {ip} cannot be used: {error}"),
            another,
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(port: u16) -> Listen {
        Listen {
            port: Some(port),
            ..Listen::default()
        }
    }

    #[test]
    fn a_named_port_in_use_is_refused_and_zero_takes_a_free_one() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = named(port).find().unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(crate::error::hint(&error).unwrap().contains("--port"));
        drop(holder);
        assert_eq!(named(port).find().unwrap().address.port(), port);
        assert_ne!(named(0).find().unwrap().address.port(), 0);
    }

    #[test]
    fn where_none_is_named_the_next_free_port_is_taken() {
        // Others may serve on the usual port while this runs.
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
        let free = Listen::default().find().unwrap();
        assert!(free.is_instead);
        assert!(free.address.port() > DEFAULT_PORT);
        drop(holder);
    }

    #[test]
    fn the_remains_of_a_run_are_waited_for_and_others_are_not() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = holder.local_addr().unwrap();
        let began = Instant::now();
        named(address.port()).find_after(None).unwrap_err();
        named(address.port())
            .find_after(Some("http://127.0.0.1:1"))
            .unwrap_err();
        assert!(began.elapsed() < REMAINS / 2);
        let ends = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            drop(holder);
        });
        let found = named(address.port()).find_after(Some(&url(address)));
        assert_eq!(found.unwrap().address, address);
        ends.join().unwrap();
    }

    #[test]
    fn an_address_is_one_of_this_machine() {
        assert_eq!(host("localhost"), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(host("*"), Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        assert_eq!(host("::1"), Ok(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert!(host("my-machine").unwrap_err().contains("0.0.0.0"));
        let elsewhere = Listen {
            host: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            port: Some(0),
        };
        let error = elsewhere.find().unwrap_err();
        assert_eq!(error.to_string(), "192.0.2.1 is no address of this machine");
    }

    #[test]
    fn a_server_on_all_addresses_is_reached_at_that_of_the_machine() {
        let at = |text: &str| url(text.parse().unwrap());
        assert_eq!(at("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(at("[::]:80"), "http://[::1]:80");
        assert_eq!(at("192.0.2.1:80"), "http://192.0.2.1:80");
        assert_eq!(url_in_network("127.0.0.1:80".parse().unwrap()), None);
    }

    #[test]
    fn the_manifest_says_where_and_is_told_what_is_wrong() {
        let read = |dev: Value| settings(Some(&dev));
        let right = read(json!({ "ip": "0.0.0.0", "port": 8787, "local_protocol": "http" }));
        assert_eq!(
            right,
            Ok(Listen {
                host: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                port: Some(8787),
            })
        );
        assert_eq!(settings(None), Ok(Listen::default()));
        assert_eq!(
            read(json!({ "port": 70000 })).unwrap_err(),
            "`dev.port` is 70000, not a number from 0 to 65535"
        );
        assert_eq!(
            read(json!({ "ip": "here" })).unwrap_err(),
            "`dev.ip` is \"here\", not an address such as \"127.0.0.1\""
        );
        let more = json!({ "port": 1, "host": "x", "inspector_port": 2 });
        assert_eq!(
            not_followed(Some(&more)),
            ["dev.host", "dev.inspector_port"]
        );
    }
}

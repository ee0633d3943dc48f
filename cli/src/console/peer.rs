//! Which user is at the other end of a connection. Other users of this machine reach its loopback, too, and
//! what the console does it does in the name of whoever has started it.

use std::{fs, net::SocketAddr};

/// Where Linux lists the connections of this machine. Elsewhere there is nothing of the kind.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const ESTABLISHED: &str = "01";
const LISTENING: &str = "0A";

/// Whether a connection is one of the user who runs this, or of root; or nobody can tell.
pub fn is_welcome(theirs: SocketAddr, ours: SocketAddr) -> bool {
    let tables = TABLES.map(|path| fs::read_to_string(path).unwrap_or_default());
    welcomes(&tables.concat(), theirs, ours, own_id())
}

#[cfg(unix)]
fn own_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn own_id() -> u32 {
    0
}

/// The same by what the tables say. A table that does not know where we listen knows nothing. One that does
/// has the other end, too, unless that has gone; then it may have been anybody's.
fn welcomes(tables: &str, theirs: SocketAddr, ours: SocketAddr, own: u32) -> bool {
    let rows: Vec<Vec<&str>> = tables
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let (theirs, ours) = (written(theirs), written(ours));
    // Whoever speaks IPv6 to an address of IPv4 has it at the end of a longer one.
    let at = |row: &[&str], place: usize, address: &str| {
        row.get(place).is_some_and(|cell| cell.ends_with(address))
    };
    let state = |row: &[&str]| row.get(3).copied().unwrap_or_default().to_owned();
    if !rows
        .iter()
        .any(|row| at(row, 1, &ours) && state(row) == LISTENING)
    {
        return true;
    }
    let end = rows
        .iter()
        .find(|row| at(row, 1, &theirs) && at(row, 2, &ours));
    end.is_some_and(|row| {
        let user = row.get(7).and_then(|user| user.parse::<u32>().ok());
        // The remains of a connection are said to be root's, whosever it was.
        state(row) == ESTABLISHED && user.is_some_and(|user| user == own || user == 0)
    })
}

/// An address as the tables have it: the bytes in the order of this machine.
fn written(address: SocketAddr) -> String {
    let number = match address {
        SocketAddr::V4(address) => u32::from_ne_bytes(address.ip().octets()),
        // Nobody listens there.
        SocketAddr::V6(_) => 0,
    };
    format!("{number:08X}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const LISTENER: &str = "   0: 0100007F:1176 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1";

    fn row(theirs: &str, state: &str, user: u32) -> String {
        format!(
            "{LISTENER}\n   1: {theirs} 0100007F:1176 {state} 00000000:00000000 00:00000000 00000000 {user:>5} 0 2 1"
        )
    }

    fn welcome(tables: &str) -> bool {
        let address = |text: &str| text.parse().unwrap();
        welcomes(
            tables,
            address("127.0.0.1:40000"),
            address("127.0.0.1:4470"),
            1000,
        )
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_users_own_connections_and_those_of_root_are_welcome() {
        let theirs = "0100007F:9C40";
        assert!(welcome(&row(theirs, "01", 1000)));
        assert!(welcome(&row(theirs, "01", 0)));
        assert!(!welcome(&row(theirs, "01", 1001)));
        let mapped = "0000000000000000FFFF00000100007F:9C40";
        let mapped = row(mapped, "01", 1001).replace(
            " 0100007F:1176 01",
            " 0000000000000000FFFF00000100007F:1176 01",
        );
        assert!(!welcome(&mapped));
        assert!(welcome(&mapped.replace("1001", "1000")));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn who_has_gone_may_have_been_anybody() {
        for state in ["04", "05", "06", "08"] {
            assert!(!welcome(&row("0100007F:9C40", state, 0)), "{state}");
        }
        assert!(!welcome(&row("0100007F:9C41", "01", 1000)));
        assert!(!welcome(LISTENER));
    }

    #[test]
    fn where_nobody_can_tell_all_are_welcome() {
        assert!(welcome(""));
        assert!(welcome("  sl  local_address rem_address   st\n"));
    }

    #[test]
    fn a_connection_of_ones_own_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = listener.local_addr().unwrap();
        let stream = TcpStream::connect(ours).unwrap();
        let theirs = stream.local_addr().unwrap();
        assert!(is_welcome(theirs, ours));
        let tables = TABLES
            .map(|path| fs::read_to_string(path).unwrap_or_default())
            .concat();
        if cfg!(target_os = "linux") {
            // To somebody else it is a stranger's, unless root is at it.
            assert_eq!(welcomes(&tables, theirs, ours, u32::MAX), own_id() == 0);
            drop(stream);
            assert!(!is_welcome(theirs, ours));
        }
    }
}

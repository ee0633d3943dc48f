//! Whether stdout was closed when the program was started, as by `>&-`.
//!
//! Rust opens `/dev/null` in its place before `main`, so one has to look earlier.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether nothing that is written on stdout gets anywhere.
pub fn at_start() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod early {
    use super::{CLOSED, Ordering};

    extern "C" fn look() {
        if rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err() {
            CLOSED.store(true, Ordering::Relaxed);
        }
    }

    /// The system calls what is listed here before Rust's own start.
    #[used]
    #[allow(unsafe_code, reason = "the section holds functions of just this type")]
    #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
    #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
    static LOOK: extern "C" fn() = look;
}

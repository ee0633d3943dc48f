//! The program's `stream` commands, against our server and the reference implementation.

mod archives;
mod program;
mod projects;
mod restarts;
mod verbs;

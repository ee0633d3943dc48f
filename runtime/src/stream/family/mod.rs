//! Forks and their sources (section 4.2): the source's side. The fork's is in
//! [`create`](super::verbs::create).
//!
//! | file | what it knows |
//! |---|---|
//! | [`lend`] | what a source hands over, and how long it keeps that |
//! | [`claims`] | which forks there are, as the database has it |
//! | [`book`] | the same as far as it is kept in memory |
//! | [`needs`] | which retired objects forks may read |
//! | [`asking`] | when to ask which fork whether it lives |

pub mod asking;
pub mod book;
pub mod claims;
pub mod lend;
pub mod needs;

//! Forks and their sources (section 4.2): the source's side. The fork's is in
//! [`create`](super::verbs::create).
//!
//! | file | what it knows |
//! |---|---|
//! | [`lend`] | what a source hands over, and how long it keeps that |
//! | [`claims`] | which forks there are, and when to ask whether they live |

pub mod claims;
pub mod lend;

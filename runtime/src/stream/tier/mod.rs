//! What is old, which lies in objects outside, and the jobs that put it there and take it away.
//!
//! | file | what it knows |
//! |---|---|
//! | [`segment`] | the index of objects, and what a read takes from one |
//! | [`record`] | what the index says of an object |
//! | [`generation`] | how often the index has left objects behind |
//! | [`marks`] | where an object may be cut without being read |
//! | [`cold`] | what a page takes from segments |
//! | [`upkeep`] | what is to do besides requests: when, and what came of it |
//! | [`hot`] | whether there is enough in rows to seal |
//! | [`seal`] | rows become an object |
//! | [`merge`] | small objects become a large one |
//! | [`mod@drop`] | what lies before the earliest position goes |
//! | [`sweep`] | objects that the index has left are deleted |
//! | [`purge`] | objects of a stream that is gone are deleted |

pub mod cold;
pub mod drop;
pub mod generation;
pub mod hot;
pub mod marks;
pub mod merge;
pub mod purge;
pub mod record;
pub mod seal;
pub mod segment;
pub mod sweep;
pub mod upkeep;

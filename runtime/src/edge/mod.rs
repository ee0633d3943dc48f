//! What the worker decides before and after a stream's object is asked.
//!
//! | file | what it knows |
//! |---|---|
//! | [`live`] | live reads at the edge |
//! | [`cold`] | answers of which a part lies in the bucket |
//! | [`present`] | answers as their clients may have them |

pub(crate) mod cold;
pub(crate) mod live;
pub(crate) mod present;

//! What a deployed worker was used for: asked of Analytics Engine, added up, priced and drawn.

mod chart;
pub mod prices;
pub mod query;
pub mod report;
pub mod text;

//! Variables of the environment that hold what we are known to Cloudflare by.

/// An API token.
pub const API_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
/// A global API key.
pub const API_KEY: &str = "CLOUDFLARE_API_KEY";
/// Whose global API key it is.
pub const EMAIL: &str = "CLOUDFLARE_EMAIL";

/// All of them, for programs that have no business with them.
pub const CREDENTIALS: &[&str] = &[API_TOKEN, API_KEY, EMAIL];

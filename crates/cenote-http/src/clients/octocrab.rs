use std::sync::Arc;

use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use octocrab::{AuthState, Octocrab, OctocrabBuilder};

/// For GitHub itself `base` is `https://api.github.com`. It wants to know who asks.
pub fn client(http: cenote_http::Client, base: Uri) -> Octocrab {
    let agent = (USER_AGENT, HeaderValue::from_static("my-app"));
    let Ok(client) = OctocrabBuilder::new_empty()
        .with_service(http)
        .with_layer(&BaseUriLayer::new(base))
        .with_layer(&ExtraHeadersLayer::new(Arc::new(vec![agent])))
        .with_auth(AuthState::None)
        .build();
    client
}

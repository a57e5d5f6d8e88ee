use cenote_http::{Body, Client};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};
use tower_http::decompression::{DecompressionBody, DecompressionLayer};
use tower_http::follow_redirect::FollowRedirectLayer;

/// Follows redirects, and decodes what servers compress, as reqwest does. `ServiceExt::oneshot` sends a request.
pub fn with_redirects(
    http: Client,
) -> BoxCloneSyncService<Request<Body>, Response<DecompressionBody<Body>>, BoxError> {
    let service = ServiceBuilder::new()
        .map_err(BoxError::from)
        .layer(FollowRedirectLayer::new())
        .layer(DecompressionLayer::new())
        .service(http);
    BoxCloneSyncService::new(service)
}

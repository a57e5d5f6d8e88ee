use cenote_object_store::CenoteConnector;
use object_store::aws::{AmazonS3, AmazonS3Builder};

/// Any store whose builder has `with_http_connector`; all of them share the client.
pub fn store(
    options: AmazonS3Builder,
    http: cenote_http::Client,
) -> object_store::Result<AmazonS3> {
    options
        .with_http_connector(CenoteConnector::new(http))
        .build()
}

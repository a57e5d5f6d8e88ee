use kube::Config;
use kube::client::{Client, ConfigExt};
use tower::{BoxError, ServiceBuilder};

/// `Client::try_from(config)` on these pools. The certificates are the cluster's: kube's feature `rustls-tls` has them.
pub fn client(config: &Config) -> Result<Client, BoxError> {
    let http = cenote_http::Client::builder()
        .tls(config.rustls_client_config()?)
        .build()?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(config.extra_headers_layer()?)
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, &*config.default_namespace))
}

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use cenote_aws::CenoteHttpClient;

/// For `aws_config::defaults(..).http_client(..)`, and so for all services of a configuration.
pub fn http_client() -> Result<SharedHttpClient, Box<dyn std::error::Error>> {
    let options = cenote_http::Client::builder().max_per_route(50);
    Ok(SharedHttpClient::new(CenoteHttpClient::new(options)?))
}

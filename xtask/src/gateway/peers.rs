//! The gateways that are measured, each before the same mock upstream, with the settings that
//! their manuals give for a plain pass-through.

use super::{
    servers::{Server, free_port, local},
    wire,
};
use crate::process;
use anyhow::Context as _;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

/// Where chat requests go.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A gateway under test; `direct` is none.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Name in the tables.
    pub(crate) name: &'static str,
    /// Version as it says itself.
    pub(crate) version: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Headers that it needs.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Its process; none for `direct`.
    pub(crate) server: Option<Server>,
}

/// Where programs, settings and logs of one benchmark are.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Scratch folder.
    pub(crate) dir: PathBuf,
    /// The guard's program.
    pub(crate) stillwatch: PathBuf,
    /// The mock upstream's program.
    pub(crate) mock: PathBuf,
}

/// A chat request whose prompt and account differ by its number.
pub(crate) fn chat(number: u64, accounts: u64, stream: bool, more: &[(&str, String)]) -> Vec<u8> {
    let key = format!("Bearer key-{}", number % accounts);
    let mut headers = vec![("authorization", key.as_str())];
    headers.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    wire::post(CHAT, &headers, &body(number, stream))
}

/// About 600 bytes, as short questions with a system prompt are.
pub(crate) fn body(number: u64, stream: bool) -> String {
    format!(
        "{{\"model\":\"mock-1\",\"temperature\":1,\"max_tokens\":64,\"stream\":{stream},\"messages\":[\
         {{\"role\":\"system\",\"content\":\"{SYSTEM}\"}},{{\"role\":\"user\",\"content\":\
         \"Order {number}: {QUESTION} Reference {}.\"}}]}}",
        number.wrapping_mul(2_654_435_761) % 1_000_003
    )
}

/// The system prompt of the requests.
pub(crate) const SYSTEM: &str = "You are the assistant of a shop for garden tools. Answer in two \
    sentences, politely, and name the article's number when you speak of one. If a question has \
    nothing to do with the shop, say so and offer help with an order instead.";

/// What is asked.
pub(crate) const QUESTION: &str = "the hose that came yesterday leaks where it meets the reel, and \
    the seal in the bag is too wide for it. Can I get the right seal by post, or must I send the \
    whole reel back, and how long will that take before the weekend?";

impl Bench {
    /// The mock upstream.
    pub(crate) fn upstream(&self, flags: &[&str]) -> anyhow::Result<Server> {
        Server::announced(
            Command::new(&self.mock).args(flags),
            &self.dir.join("mock.log"),
            |line| line.trim().parse().ok(),
        )
    }

    /// The guard; `rate` of exposure. A fresh state folder each time.
    pub(crate) fn guard(
        &self,
        name: &'static str,
        upstream: SocketAddr,
        rate: f64,
    ) -> anyhow::Result<Peer> {
        let data = self.dir.join(name);
        if data.exists() {
            fs_err::remove_dir_all(&data)?;
        }
        let server = guard(&self.stillwatch, &data, upstream, rate)?;
        let version = version(&self.stillwatch, &["--version"]);
        Ok(Peer {
            name,
            version,
            address: server.address,
            headers: Vec::new(),
            server: Some(server),
        })
    }

    /// nginx as a plain proxy that keeps its upstream connections open.
    pub(crate) fn nginx(&self, upstream: SocketAddr) -> anyhow::Result<Peer> {
        let address = local(free_port()?);
        let dir = self.dir.display();
        let config = self.dir.join("nginx.conf");
        fs_err::write(
            &config,
            format!(
                "worker_processes auto;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.log warn;\n\
                 daemon off;\nevents {{ worker_connections 4096; }}\n\
                 http {{\n  access_log off;\n  keepalive_requests 100000000;\n\
                 client_body_temp_path {dir}/nginx-body;\n  proxy_temp_path {dir}/nginx-proxy;\n\
                 fastcgi_temp_path {dir}/nginx-f;\n  uwsgi_temp_path {dir}/nginx-u;\n\
                 scgi_temp_path {dir}/nginx-s;\n\
                 upstream mock {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
                 server {{\n    listen {address} reuseport;\n    location / {{\n\
                 proxy_pass http://mock;\n      proxy_http_version 1.1;\n\
                 proxy_set_header Connection \"\";\n      proxy_buffering off;\n    }}\n  }}\n}}\n"
            ),
        )?;
        let nginx = if process::has("nginx") { "nginx" } else { "/usr/sbin/nginx" };
        let mut command = Command::new(nginx);
        command.arg("-c").arg(&config);
        self.peer("nginx", &mut command, address, Vec::new(), version(Path::new(nginx), &["-v"]))
    }

    /// LiteLLM's proxy with a worker per core.
    pub(crate) fn litellm(&self, upstream: SocketAddr) -> anyhow::Result<Peer> {
        let program = process::output("scripts/gateway-peers", &["litellm"])
            .context("not installed: scripts/gateway-peers --setup")?;
        let config = self.dir.join("litellm.yaml");
        fs_err::write(
            &config,
            format!(
                "model_list:\n  - model_name: mock-1\n    litellm_params:\n      model: openai/mock-1\n      \
                 api_base: http://{upstream}/v1\n      api_key: none\n"
            ),
        )?;
        let address = local(free_port()?);
        let cores = std::thread::available_parallelism()?.to_string();
        let mut command = Command::new(program.trim());
        command.arg("--config").arg(&config).args(["--host", "127.0.0.1"]);
        command.args(["--port", &address.port().to_string(), "--num_workers", &cores]);
        command.env("LITELLM_LOG", "ERROR").env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        // On this machine only, and the requests carry keys of many accounts.
        command.env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true");
        let python = Path::new(program.trim()).with_file_name("python");
        let say = "import importlib.metadata as m; print(m.version('litellm'))";
        let version = version(&python, &["-c", say]);
        self.peer("LiteLLM", &mut command, address, Vec::new(), version)
    }

    /// Portkey's gateway.
    pub(crate) fn portkey(&self, upstream: SocketAddr) -> anyhow::Result<Peer> {
        let program = process::output("scripts/gateway-peers", &["portkey"])
            .context("not installed: scripts/gateway-peers --setup")?;
        let address = local(free_port()?);
        let mut command = Command::new("node");
        command.arg(program.trim()).arg("--headless");
        command.arg(format!("--port={}", address.port()));
        command.env("TRUSTED_CUSTOM_HOSTS", "127.0.0.1,localhost");
        let headers = vec![
            ("x-portkey-provider", "openai".to_owned()),
            ("x-portkey-custom-host", format!("http://{upstream}/v1")),
        ];
        let manifest = Path::new(program.trim()).with_file_name("../package.json");
        let version = fs_err::read_to_string(manifest)
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .and_then(|json| Some(json["version"].as_str()?.to_owned()));
        let version = version.unwrap_or_else(|| "unknown".to_owned());
        self.peer("Portkey", &mut command, address, headers, version)
    }

    fn peer(
        &self,
        name: &'static str,
        command: &mut Command,
        address: SocketAddr,
        headers: Vec<(&'static str, String)>,
        version: String,
    ) -> anyhow::Result<Peer> {
        let probe = chat(0, 1, false, &headers);
        let log = self.dir.join(format!("{name}.log"));
        let server = Server::probed(command, &log, address, &probe)?;
        Ok(Peer { name, version, address, headers, server: Some(server) })
    }
}

/// A guard on ports that are free, with its state in `data`.
pub(crate) fn guard(
    program: &Path,
    data: &Path,
    upstream: SocketAddr,
    rate: f64,
) -> anyhow::Result<Server> {
    fs_err::create_dir_all(data)?;
    let mut command = Command::new(program);
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--upstream", &format!("http://{upstream}/v1")])
        .args(["--exposure-rate", &rate.to_string()])
        .arg("--data")
        .arg(data);
    Server::announced(&mut command, &data.join("stderr.log"), |line| {
        let ready: serde_json::Value = serde_json::from_str(line).ok()?;
        ready["public"].as_str()?.parse().ok()
    })
}

/// The first line that a program says of its version, on either stream.
fn version(program: &Path, args: &[&str]) -> String {
    let said = Command::new(program).args(args).output().ok();
    let text = said.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().next().unwrap_or("unknown").to_owned()
}

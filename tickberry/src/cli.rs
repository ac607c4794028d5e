//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use tickberry_simulator::Speed;

/// Live market trades on a shelf of Raspberry Pis: every trade journaled, every minute exact.
#[derive(Debug, Parser)]
#[command(name = "tickberry", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Configuration file [default: $XDG_CONFIG_HOME/tickberry/tickberry.toml, else /etc/tickberry/tickberry.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in this one process: gateway, broker, aggregator with SQLite, and the page
    Up(Up),
    /// Take Finnhub's stream, journal it and publish it
    Gateway(Role),
    /// Run the MQTT broker
    Broker(Role),
    /// Fold the journal into minutes and write them to the store
    Aggregator(Role),
    /// Serve the page and the read API
    Console(Role),
    /// Behave like Finnhub on a local port
    Simulate(Simulate),
    /// Print what goes over the broker, line by line
    Tap(Tap),
    /// Print one screen about a running tickberry; exit 0 healthy, 1 degraded, 69 unreachable
    Status(Remote),
    /// Try token, broker, store, clock and disk; each failing line ends with what mends it
    Check(Role),
    /// Compare minutes and trades with the journal they come from; exit 1 on a difference
    Audit(Audit),
    /// Make what tickberry needs on another server
    #[command(subcommand)]
    Setup(Setup),
    /// Write the manual pages or a shell's completions
    #[command(subcommand)]
    Generate(Generate),
}

/// Options of `up`.
#[derive(Debug, Default, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) role: Role,
    /// Where the page, the API and the metrics are [default: 127.0.0.1:8080, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Where MQTT clients may listen in [default: 127.0.0.1:1883, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) mqtt: Option<SocketAddr>,
    /// Symbols to subscribe to [default: BINANCE:BTCUSDT,BINANCE:ETHUSDT]
    #[arg(long, value_name = "A,B")]
    pub(crate) symbols: Option<String>,
    /// The feed's WebSocket address; the token is added to it [default: wss://ws.finnhub.io]
    #[arg(long, value_name = "URL")]
    pub(crate) finnhub_url: Option<String>,
    /// A further certificate authority for the feed's TLS, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) finnhub_ca: Option<PathBuf>,
}

/// Options of every service.
#[derive(Debug, Default, Args)]
pub(crate) struct Role {
    /// Journal, SQLite file and lock [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/tickberry, else
    /// ~/.local/state/tickberry; with -simulated appended when simulated]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Options of `simulate`.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Where to listen [default: 127.0.0.1:9180]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Play recorded trades; may be given several times
    #[arg(long, value_name = "FILE.csv.gz")]
    pub(crate) recorded: Vec<PathBuf>,
    /// How fast recorded trades are played: a factor, or "max" for at once [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub(crate) speed: Option<Speed>,
    /// Trades in a frame [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) frame: Option<u32>,
    /// Everything random follows from this number [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// Where a running tickberry is.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// Its HTTP address [default: http.console, which is 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
}

/// Options of `audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// How far back to compare
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub(crate) since: String,
}

/// Options of `tap`.
#[derive(Debug, Args)]
pub(crate) struct Tap {
    /// What to listen to
    #[arg(value_enum, default_value_t = Stream::Trades)]
    pub(crate) stream: Stream,
    /// Only this symbol; may be given several times
    #[arg(long, value_name = "SYMBOL")]
    pub(crate) symbol: Vec<String>,
    /// How a line looks
    #[arg(long, value_enum, default_value_t = Format::Line)]
    pub(crate) format: Format,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// The broker's tap address [default: broker.taps, which is 127.0.0.1:1883]
    #[arg(long, value_name = "ADDR")]
    pub(crate) mqtt: Option<SocketAddr>,
}

/// What can be tapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stream {
    /// Each trade and price update
    Trades,
    /// Each final and each revised minute
    Minutes,
    /// The open minutes and last prices, at most once a second
    Live,
}

/// How a tapped line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For reading
    Line,
    /// One JSON object a line, as on the topic
    Json,
    /// Comma-separated, with a line of names first
    Csv,
}

/// What can be set up.
#[derive(Debug, Subcommand)]
pub(crate) enum Setup {
    /// Organisation, buckets with their retention, and the tokens of aggregator and Grafana, in the InfluxDB of
    /// aggregator.store.influxdb; run again, it changes nothing
    Influxdb(SetupInfluxDb),
}

/// Options of `setup influxdb`.
#[derive(Debug, Args)]
pub(crate) struct SetupInfluxDb {
    /// Where the tokens are put, each in a file that only its owner reads
    #[arg(long, value_name = "DIR")]
    pub(crate) tokens: PathBuf,
    /// The server's address [default: aggregator.store.influxdb.url, else http://127.0.0.1:8086]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Let a bucket that keeps its data longer than configured forget earlier
    #[arg(long)]
    pub(crate) shorten: bool,
}

/// What can be generated.
#[derive(Debug, Subcommand)]
pub(crate) enum Generate {
    /// Manual pages, one file a command, into a folder
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Completions of a shell, to standard output
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// The definition, for manual pages and completions.
    pub(crate) fn definition() -> clap::Command {
        Self::command()
    }
}

"""Everything has a limit, and the limits live together, each with its reason."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# Records and batches
RECORD_BYTES_MAX = 4 * MIB  # A larger record goes to the rejected output; it never enters a batch.
RECORD_DEPTH_MAX = 1_000  # Nesting of one JSON record; parsers recurse, and the stack is finite.
TYPE_DEPTH_MAX = 100  # Nesting of a column's type. No schema comes near; a deeper one is a slip.
BATCH_ROWS_MAX = 65_536  # Rows of one batch: large enough for the vectorised operators to be free, small enough to hold several.
BLOCK_BYTES_MAX = 1 * MIB  # One read of a byte stream: the best size measured for the JSON decoder.

# Channels
CHANNEL_BATCHES_MAX = 8  # Per edge. Enough to hide one slow poll; few enough to bound memory and the time of a stop.
CHANNEL_WAIT_MS = 50  # A thread that waits at a channel looks this often whether the job was ended.
SINK_FLUSH_MS = 1_000  # Written rows become visible at the latest after this; sooner when the input pauses.
THREAD_START_SECONDS = 5  # Longest wait for a thread whose start was interrupted: it comes at once or never.
REPORT_WAIT_SECONDS = 5  # Longest wait for the operators to give a consistent report of a running job.

# Sources
FILES_OPEN_MAX = 64  # Files of one source read at the same time, in name order.
PARTITION_POLL_MS = 1_000  # A source that does not end looks for new partitions this often.
POLL_WAIT_MS = 20  # Wait of a source between two polls that found nothing.
PARTITIONS_MAX = 100_000  # Partitions of one source.
COMPRESSED_READ_BYTES = 256 * KIB  # Compressed bytes per read: at the usual ratio of 4 one block comes out.
ZSTD_WINDOW_LOG_MAX = 27  # 128 MiB: the largest window that every zstd decoder accepts; a frame that asks for more is refused.
DATAGEN_BLOCK_ROWS = 8_192  # Rows that datagen makes at once. Part of what the rows are: another value gives other rows.
DATAGEN_LENGTH_MAX = 10_000  # Characters, bytes or elements of one generated value: a block of them fits in 80 MB.

# Topics
KAFKA_METADATA_SECONDS = 1.0  # One question for topics: short, so that what librdkafka reports is heard between two.
KAFKA_CONNECT_ATTEMPTS = 5  # Brokers that do not answer so many questions of a new client are not there.
KAFKA_ANSWER_SECONDS = 10.0  # A question for offsets: its partition may be changing its leader.
KAFKA_CONSUME_RECORDS = 10_000  # Records of one fetch from librdkafka's queue: more save nothing, fewer cost calls.
KAFKA_CONSUME_SECONDS = 0.02  # Wait for the first record of a fetch: so late a change of what is fetched is noticed.
KAFKA_FILL_SECONDS = 0.002  # Wait for the others: it is the latency of a slow topic, and makes the blocks of a fast one large.
KAFKA_FILL_BYTES = 256 * KIB  # An answer of a broker with less is followed by the same wait.
KAFKA_BUFFER_BYTES_MAX = 16 * MIB  # Fetched records of one source that wait for the engine; beyond it nothing is fetched.
KAFKA_FETCH_BYTES = 2 * MIB  # Of a partition in one answer; a larger batch comes whole.
KAFKA_BATCH_BYTES_MAX = 256 * MIB  # What a compressed batch may hold: brokers take batches of 1 MiB, and a few bytes can claim any length.
KAFKA_SILENCE_SECONDS = 5.0  # Beyond the wait that a fetch asks for; a network that drops what is sent reports nothing.
KAFKA_FRAME_BYTES_MAX = 512 * MIB  # A longer answer of a broker is none of Kafka's.
KAFKA_RETRY_SECONDS = 0.1  # Wait before a broker that refused or did not answer is asked again, and before topics are.
KAFKA_SEND_RECORDS = 10_000  # Records handed to librdkafka in one call: it begins to send while the next are prepared.
KAFKA_SEND_BYTES_MAX = 256 * MIB  # Bytes of a batch that may wait in librdkafka: it holds a copy of each record.
KAFKA_DELIVERY_POLL_SECONDS = 0.1  # Wait for acknowledgements between two looks.
KAFKA_REMOVED_ROUNDS = 50  # Looks, a tenth of a second apart, for a topic that was taken away: the brokers forget it one by one.
KAFKA_TROUBLES_KEPT = 20  # What librdkafka said last of what went wrong; an error message shows the last three.
KAFKA_GROUP_PARTITIONS_MS = 2_000  # Between two looks of a group for new partitions: the client's own is five minutes, which a stop does not wait.
KAFKA_GROUP_RECORDS = 50_000  # Records that a member of a group takes at once: a store that takes rows by partition gets more of each together.
KAFKA_GROUP_WAIT_SECONDS = 0.1  # Wait of a member of a group for records: how soon it hears that it is to stop.
KAFKA_GROUP_SESSION_MS = 10_000  # Silence after which a member of a group is fenced: a restart is shorter, and brokers take no less than 6 seconds.
KAFKA_GROUP_POLL_MS_MAX = 120_000  # The same of a member that lives and does not ask: a commit to brokers that do not answer takes up to 60 seconds.

# Ingestion
INGEST_PARTITIONS_MAX = 64  # Partitions that the topic of an ingested source gets by itself, one per partition of the source; more of them share.
INGEST_KEEP_MS = 1_000  # Positions are kept this often: what a crash writes again is about so much.
INGEST_UNSETTLED_BYTES_MAX = 64 * MIB  # Bytes that the brokers have not acknowledged: enough to keep them busy, and a copy of each is in memory.
INGEST_RECORD_BYTES = 2 * RECORD_BYTES_MAX  # A record that the topic of an ingested source takes: the largest one, and what Kafka adds.
INGEST_STANDBY_MS = 500  # A worker that stands by looks this often whether the source is free.
INGEST_REJECTED_BYTES_MAX = 512 * KIB  # Of a source's record in its topic of rejected ones: topics take 1 MiB if nothing else is said.

# Sinks of files
WRITE_BUFFER_BYTES_MAX = 1 * MIB  # Bytes that wait in memory before they are written; also one gzip member or zstd frame.
PART_BYTES_DEFAULT = 128 * MIB  # Length at which a directory sink begins its next file, as in Flink.
PARTS_MAX = 1_000_000  # Files of one directory sink: their names have six digits.
OWNER_BYTES_MAX = 64 * KIB  # The file that names a file sink's owner; it has a hundred bytes, and a larger one is none.

# Rejects
REJECT_CHECK_RECORDS = 1_000  # A source is judged by its first records ...
REJECT_SHARE_MAX = 0.5  # ... and stopped when more than this share of them is rejected.
REJECT_RECORD_SHOWN_BYTES = 300  # Of a rejected record in an error message.
REJECT_DETAIL_CHARS_MAX = 500  # A reject's detail is for people.

# Table store
STORE_FLUSH_MS = 1_000  # Staged rows reach the table file at most this late.
STORE_FLUSH_ROWS = 100_000  # ... or as soon as so many are staged ...
STORE_FLUSH_BYTES = 64 * MIB  # ... or so many bytes: rows may be wide.
STORE_STAGED_FLUSHES_MAX = 4  # A writer that is so many flushes ahead of the file waits for it: staged rows are memory.
STORE_LOG_BYTES_MAX = 16 * MIB  # DuckDB's log is folded in beyond this: that costs 0.1 to 0.4 s, an unfolded flush slows queries by 1 %.
STORE_MEMORY_BYTES_MAX = 1_024 * MIB  # What DuckDB may hold; a query that needs more is refused, the job goes on.
STORE_LOCK_WAIT_MS = 2_000  # Wait for a store that another process holds: long enough for a query to end or a server to appear.
STORE_LOCK_POLL_MS = 20  # Wait between two tries of it.
STORE_REQUEST_BYTES_MAX = 1 * MIB  # One query sent to the process that owns a store.
STORE_REQUEST_MS_MAX = 5_000  # A client that sends its query slower than this is let go.
STORE_RESULT_ROWS_MAX = 1_000_000  # Rows of one answer.
STORE_RESULT_BYTES_MAX = 256 * MIB  # Bytes of one answer: it is in memory on both sides.
STORE_RESULT_MS_MAX = 30_000  # A client that takes its answer slower than this is let go.
STORE_QUERY_MS_MAX = 60_000  # A query that runs longer is stopped: it shares its cores with the job.
STORE_QUERIES_MAX = 4  # Queries of one store that run at the same time; more wait.
STORE_CONNECTIONS_MAX = 16  # Clients of one store at the same time; more are sent away.
STORE_ADDRESS_BYTES_MAX = 4 * KIB  # The file that says where a store's owner listens.
STORE_SOCKET_PATH_BYTES_MAX = 100  # Longest address of a Unix socket: the systems allow 104 to 108.

# Cassandra
CASSANDRA_BATCH_ROWS = 100  # Rows of one request, all of one partition: more wins little, and a refused row costs all of them once more.
CASSANDRA_BATCH_BYTES = 256 * KIB  # ... or about so many bytes: nodes refuse mutations above 16 MiB, and slow down long before.
CASSANDRA_REQUESTS_MAX = 64  # Requests of one sink that wait for an answer: one node is busy with them, and 16 MiB hold them.
CASSANDRA_KEY_BYTES_MAX = 65_535  # One column of a key: the format of Cassandra's files has two bytes for its length.
CASSANDRA_CONNECT_SECONDS = 10  # Longest wait for a node to accept a connection.
CASSANDRA_REQUEST_SECONDS = 10  # Longest wait for an answer; a node gives up after 2 seconds by itself.
CASSANDRA_PAGE_ROWS = 5_000  # Rows of a query that come at once: what the driver takes by itself.
CASSANDRA_RETRY_MS = 500  # Wait before rows are sent again: a node that restarts needs seconds, one that is busy less.

# Flink
FLINK_ANSWER_SECONDS = 30  # Longest wait for one answer of a REST interface: planning happens in the background, answers come at once.
JOB_FAILS_MS = 60_000  # A job that failed less long ago counts as failing, although it may run between two failures.
FLINK_POLL_MS = 50  # Between two looks at a statement or job: planning takes 0.1 to 2 s.
FLINK_STATEMENT_MS_MAX = 120_000  # Longest wait for one statement: a bounded query on a busy cluster takes its time.
FLINK_STOP_MS_MAX = 300_000  # Longest wait for a savepoint: large state takes minutes.
SAVEPOINT_METADATA_BYTES_MAX = 67_108_864  # Of a file with the names in a savepoint: it is read at once, and names stand early.
FLINK_RESULT_ROWS_MAX = 100_000  # Rows of one answer: they are in memory.
FLINK_SPREAD_PARTITIONS_MAX = 128  # Partitions with a key of our choice: one per key group; with more, hashing is even enough.

# Functions
PAD_CHARS_MAX = 1_000_000  # Length that LPAD and RPAD may fill up to: each row holds that text.

# Project file
EXTENDS_DEPTH_MAX = 4  # Environments that extend one another.
PROJECT_FILE_BYTES_MAX = 1 * MIB  # A larger one is no project file.
SECRET_BYTES_MAX = 64 * KIB  # A file that a secret is read from: certificates fit, a wrong path does not fill memory.

# Logs
LOG_FILE_BYTES_MAX = 10 * MIB  # A log file of this length is set aside and the next one begun; an editor still opens it.
LOG_FILES_KEPT = 5  # Log files that were set aside and stay: with the open one at most 60 MiB of a disk.

# Command line
LIVE_REDRAW_MS = 250  # A block of lines that changes more often than four times a second cannot be read.
LIVE_RATE_SAMPLES = 9  # Looks that a rate is taken from: two seconds, so that one slow batch does not make it jump.
QUERY_ROWS_DEFAULT = 100  # Rows that a query prints if nothing else is said: a few screens.
TABLE_CELL_CHARS_MAX = 80  # Longest value in a printed table, so that its columns stay in sight.

# Saved stops
STOPS_KEPT = 2  # Directories of clean stops that stay, the newest included.

# Stack
STACK_READY_MS_MAX = 120_000  # Longest wait for one server: Cassandra takes 12 s on a free machine, and several times that on a busy one.
STACK_STOP_MS_MAX = 15_000  # A server that is asked to end has this long: Cassandra drains for five seconds.
STACK_POLL_MS = 100  # Between two looks at a server that starts or ends.
STACK_LOG_LINES_SHOWN = 20  # Last lines of a log in the message about a server that did not start.
STACK_FULL_BYTES_MAX = MIB  # With less than this a disk counts as full: what is written next to a log needs more.
STACK_FULL_LOG_LINES = 2_000  # Of a log: a job manager says some hundred lines for each checkpoint that fails.
STACK_FREE_BYTES_MIN = 300 * MIB  # Room for the data of a fresh stack: its logs are laid out before anything is written.

# Aggregates
PARTIAL_FRAMES_MAX = 32  # Partial frames of one open window before they are merged: merging often costs, and so does keeping many.
STATE_SLOTS_MIN = 1_024  # Slots of a keyed state at first; it doubles when they are taken.

# Test kit
DRIVE_POLLS_MAX = 1_000_000  # Polls of a driven run at one step; a source that always finds something would be our mistake.
DRIVE_CLOCK_MS_MAX = 60_000  # Time that one step of a test may let pass on Flink, where it really passes.
DRIVE_IDLE_NOTICE_MS = 600  # Flink looks every 200 ms whether a partition is idle: the look that begins the silence and the one that ends it.
DRIVE_THROUGH_MS_MAX = 60_000  # What a test pushes is through Flink in less than a second; a machine that is busy gets a minute.
DRIVE_READ_POLL_MS = 10  # Between two looks at how far the job has read: it reads a record some ms after it was pushed.
DRIVE_NAME_LETTERS_MAX = 100  # Of a source or sink in the name of its topic, which has 249 at most.
DRIVE_TOPIC_SECONDS = 30  # Longest wait for a topic to be made or for records to be acknowledged or read.

# Definition
ASKED_AT_ONCE = 16  # Systems that a check asks side by side: one that does not answer is waited for, and most pipelines have fewer ends.
TASK_NAME_CHARACTERS_MAX = 120  # Of a name of Flink's that is shown: it has all that is chained, and nobody reads on.
NAMES_KEPT_MAX = 1_024  # Names of operators that are remembered: more than a plan has, and little memory.

# Deployments
FLINK_START_MS_MAX = 60_000  # From the submission to the last vertex that runs; state is read back meanwhile.
FLINK_FIRST_CHECKPOINT_MS_MAX = 10_000  # A job that begins on a backlog may take longer; it is not waited for.
FLINK_LET_GO_MS_MAX = 60_000  # Task managers notice within a heartbeat's 50 s that a job manager is gone, and then find the one that came back.
DEPLOYMENT_JOBS_MAX = 100  # Jobs and savepoints that are known to be of a pipeline: enough to name whose one is.
WORKER_START_MS_MAX = 60_000  # A worker connects, joins its group and opens its systems.
WORKER_END_MS_MAX = 30_000  # A worker that was asked to end finishes what is at hand.
WORKER_DRAIN_MS_MAX = 120_000  # Workers write what a stopped job has left in their topics.
WORKER_STORE_MS = 1_000  # A system that takes longer for the rows at hand is waited for: nothing more is read, and the worker says so.
WORKER_STORE_RETRY_MS = (500, 10_000)  # Wait before rows are handed to a system again that did not answer: the first, and the longest.
WORKER_FINISH_MS_MAX = 10_000  # A worker that was asked to end waits so long for a slow system to take the rows at hand; then they come again.
WORKER_BEAT_MS = 1_000  # A worker says this often that it lives, and what it waits for.
WORKER_HANG_MS_MAX = 60_000  # A worker that says nothing for so long is ended and replaced: its group has moved on long before.
WORKER_REPLACE_MS = (1_000, 30_000)  # Wait before a worker that died is replaced: the first, doubled with each quick death, and the longest.
WORKER_QUICK_MS = 60_000  # A life shorter than this was a quick death.
WORKER_QUICK_DEATHS_MAX = 8  # Quick deaths in a row after which no more is tried: about 2 minutes, in which brokers may return.
WORKER_SAID_CHARS_MAX = 2_000  # The end of a worker's log in an error message: an error of ours with its detail.

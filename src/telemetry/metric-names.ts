// Tested by test/telemetry/metrics-doc.test.ts.
/**
 * Every metric of ours: name, help, labels. A series always has the same labels; none holds an id, a path or text that
 * a caller chose. Names follow the Prometheus naming practice (base unit, `_total`, `_info`).
 */
export const metric = {
  decisions: {
    name: 'postern_decisions_total',
    help: 'Decisions, by the policy that decided and the effect; "query" is an answer that permits nothing.',
    labelNames: ['policy', 'effect'],
  },
  decisionDuration: {
    name: 'postern_decision_duration_seconds',
    help: 'Time from reading the body to making the decision, without recording and answering it, by effect.',
    labelNames: ['effect'],
  },
  stageDuration: {
    name: 'postern_stage_duration_seconds',
    help: 'Time spent in one step of a decision.',
    labelNames: ['stage'],
  },
  unmetRequirements: {
    name: 'postern_unmet_requirements_total',
    help: 'Reasons in decisions of policies: requirements that were not met, and codes of the policies’ library.',
    labelNames: ['policy', 'requirement'],
  },
  undecided: {
    name: 'postern_undecided_total',
    help: 'Decisions that are deny because they could not be made, by code.',
    labelNames: ['code'],
  },
  overruns: {
    name: 'postern_policy_overruns_total',
    help: 'Evaluations that exceeded their budget, by entrypoint.',
    labelNames: ['entrypoint'],
  },
  outsideQuestions: {
    name: 'postern_outside_questions_total',
    help: 'Calls of policies to other servers, by builtin and result; "refused": not allowed by the configuration.',
    labelNames: ['builtin', 'result'],
  },
  outsideWaiting: {
    name: 'postern_outside_waiting',
    help: 'Decisions that wait for another server.',
    labelNames: [],
  },
  rejected: {
    name: 'postern_rejected_total',
    help: 'Requests that were refused before evaluation, by code.',
    labelNames: ['why'],
  },
  signalAge: {
    name: 'postern_signal_age_seconds',
    help: 'Age of the signals that a decision used, by kind.',
    labelNames: ['kind'],
  },
  signalsReceived: {
    name: 'postern_signals_received_total',
    help: 'Signals received, by source, kind and result.',
    labelNames: ['source', 'type', 'result'],
  },
  attestationsReceived: {
    name: 'postern_attestations_received_total',
    help: 'Attestations received, by result.',
    labelNames: ['result'],
  },
  storeEntries: {
    name: 'postern_store_entries',
    help: 'Entries in the store, by kind.',
    labelNames: ['kind'],
  },
  grantsActive: { name: 'postern_grants_active', help: 'Grants that can be used now.', labelNames: [] },
  bundleInfo: {
    name: 'postern_bundle_info',
    help: 'The active bundle; always 1.',
    labelNames: ['name', 'revision'],
  },
  bundleAge: {
    name: 'postern_bundle_age_seconds',
    help: 'Time since the active bundle was last known to be current.',
    labelNames: [],
  },
  bundleActivations: {
    name: 'postern_bundle_activations_total',
    help: 'Attempts to activate a bundle, by result.',
    labelNames: ['result'],
  },
  bundleRequests: {
    name: 'postern_bundle_requests_total',
    help: 'Attempts to fetch a bundle, by bundle and result.',
    labelNames: ['bundle', 'result'],
  },
  bundleKeepFailures: {
    name: 'postern_bundle_keep_failures_total',
    help: 'Active bundles that could not be saved to disk for a restart.',
    labelNames: ['bundle'],
  },
  shadowComparisons: {
    name: 'postern_shadow_comparisons_total',
    help: 'Decisions evaluated with the shadow bundle too, by result; "dropped": it could not keep up.',
    labelNames: ['result'],
  },
  shadowFlips: {
    name: 'postern_shadow_flips_total',
    help: 'Decisions whose effect would differ with the shadow bundle, by both effects.',
    labelNames: ['from', 'to'],
  },
  journalWritten: {
    name: 'postern_journal_events_written_total',
    help: 'Decision events written to the file.',
    labelNames: [],
  },
  journalDropped: {
    name: 'postern_journal_events_dropped_total',
    help: 'Decision events that were lost.',
    labelNames: [],
  },
  journalScreened: {
    name: 'postern_journal_events_screened_total',
    help: 'Decision events that the bundle’s mask and drop rules were applied to, by result.',
    labelNames: ['result'],
  },
  journalPending: {
    name: 'postern_journal_pending_bytes',
    help: 'Decision events that wait to be written, in bytes.',
    labelNames: [],
  },
  logDropped: {
    name: 'postern_log_lines_dropped_total',
    help: 'Lines of the operational log that could not be written.',
    labelNames: [],
  },
  inFlight: { name: 'postern_requests_in_flight', help: 'Requests being read or decided.', labelNames: [] },
  build: {
    name: 'postern_build_info',
    help: 'Version of this sidecar and of its Node.js; always 1.',
    labelNames: ['version', 'node'],
  },
} as const satisfies Record<string, { name: string; help: string; labelNames: readonly string[] }>;

/** Seconds: 50 µs to 1 s. */
export const durationBuckets = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
];
/** Seconds: 1 s to a day. */
export const ageBuckets = [1, 5, 15, 30, 60, 300, 900, 3_600, 21_600, 86_400];

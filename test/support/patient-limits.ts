/** Times evaluations by the real clocks, and lets them take longer than any test machine needs. */
export const patientLimits = {
  budgetMs: 10_000,
  monotonicMs: () => performance.now(),
  threadCpuMs: () => process.threadCpuUsage().user / 1_000,
};

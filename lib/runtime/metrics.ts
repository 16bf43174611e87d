import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** What a process measures; a registry of its own, so that several can live in one process. Names end in their unit. */
export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  return {
    registry,
    actions: new Counter({
      name: 'countersign_actions_total',
      help: 'Actions that policy judged, by effect.',
      labelNames: ['effect'],
      registers,
    }),
    holds: new Gauge({ name: 'countersign_holds', help: 'Calls that wait for a decision here.', registers }),
    outcomes: new Counter({
      name: 'countersign_approvals_total',
      help: 'Steps of approvals: requested, approved, denied, expired, cancelled, claimed, returned, settled.',
      labelNames: ['step'],
      registers,
    }),
    commands: new Counter({
      name: 'countersign_commands_total',
      help: 'Commands from approval.decide, by what became of them: accepted, not_allowed, malformed, or an error code.',
      labelNames: ['result'],
      registers,
    }),
    decisionSeconds: new Histogram({
      name: 'countersign_decision_seconds',
      help: 'From the request to its decision.',
      buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600],
      registers,
    }),
    resumeSeconds: new Histogram({
      name: 'countersign_resume_seconds',
      help: 'From the decision to the release of the held call.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
      registers,
    }),
    policyReloads: new Counter({
      name: 'countersign_policy_reloads_total',
      help: 'Looks at a policy file that had changed, by outcome: loaded, refused, missing, unchanged.',
      labelNames: ['outcome'],
      registers,
    }),
    policyInfo: new Gauge({
      name: 'countersign_policy_info',
      help: 'The policy in force: 1 at its revision.',
      labelNames: ['revision', 'source'],
      registers,
    }),
    policyShadow: new Counter({
      name: 'countersign_policy_shadow_total',
      help: 'What rules in shadow would have said, by rule and action.',
      labelNames: ['rule', 'action'],
      registers,
    }),
    rateLimited: new Counter({
      name: 'countersign_rate_limited_total',
      help: 'Calls that a rate limit refused, by rule.',
      labelNames: ['rule'],
      registers,
    }),
    findings: new Counter({
      name: 'countersign_findings_total',
      help: 'What detectors noticed in calls that were asked or evaluated, by detector and severity.',
      labelNames: ['detector', 'severity'],
      registers,
    }),
    evaluations: new Counter({
      name: 'countersign_evaluations_total',
      help: 'Opinions of external evaluators: approve, deny, escalate, suggest, failed; counted says what each came to.',
      labelNames: ['evaluator', 'opinion', 'counted'],
      registers,
    }),
    evaluationSeconds: new Histogram({
      name: 'countersign_evaluation_seconds',
      help: 'From the question to an external evaluator to its opinion.',
      labelNames: ['evaluator'],
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30],
      registers,
    }),
    policyStale: new Gauge({
      name: 'countersign_policy_stale',
      help: '1 while the policy file is refused or gone and an older policy is in force.',
      registers,
    }),
    slackClicks: new Counter({
      name: 'countersign_slack_clicks_total',
      help: 'What people did on Slack cards, by result: approved, denied, voted, reason_asked, details, unsigned, malformed, failed, or the code of the refusal.',
      labelNames: ['result'],
      registers,
    }),
    forwards: new Counter({
      name: 'countersign_forwards_total',
      help: 'Calls that went to an upstream, by upstream and outcome: answered, unreachable (nothing sent), failed.',
      labelNames: ['upstream', 'outcome'],
      registers,
    }),
    spoolBytes: new Gauge({
      name: 'countersign_spool_bytes',
      help: 'How much of the bodies of held calls is on disk.',
      registers,
    }),
    streamClients: new Gauge({ name: 'countersign_stream_clients', help: 'Open WebSocket streams.', registers }),
    deliveryAttempts: new Counter({
      name: 'countersign_delivery_attempts_total',
      help: 'Attempts to deliver to webhooks and channels, by endpoint and outcome: delivered, failed, rejected, gone.',
      labelNames: ['endpoint', 'outcome'],
      registers,
    }),
    deliverySeconds: new Histogram({
      name: 'countersign_delivery_attempt_seconds',
      help: 'How long an attempt to deliver took, by endpoint.',
      labelNames: ['endpoint'],
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
      registers,
    }),
    deliveriesInFlight: new Gauge({
      name: 'countersign_deliveries_in_flight',
      help: 'Attempts to deliver that are under way here.',
      registers,
    }),
    endpointsDue: new Gauge({
      name: 'countersign_endpoints_due',
      help: 'Endpoints for which deliveries are due, or overdue, and not under way here.',
      registers,
    }),
    webhooksDisabled: new Counter({
      name: 'countersign_webhooks_disabled_total',
      help: 'Webhook endpoints that were disabled by themselves, by reason: gone, failing.',
      labelNames: ['endpoint', 'reason'],
      registers,
    }),
    httpSeconds: new Histogram({
      name: 'countersign_http_request_seconds',
      help: 'HTTP requests by route and status; held calls include their wait.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300],
      registers,
    }),
  }
}
export type Metrics = ReturnType<typeof createMetrics>

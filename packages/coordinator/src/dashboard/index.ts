export { type Dashboard, type DashboardOptions, dashboardPort, serveDashboard } from "./dashboard-server.ts";
export { type LiveSource, RunHistory, type RunHistoryOptions } from "./run-history.ts";

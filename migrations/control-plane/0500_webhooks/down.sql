DROP TABLE webhook_deliveries;
DROP TABLE webhook_events;
DROP TABLE webhook_lanes;
DROP TABLE webhooks;

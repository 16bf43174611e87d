# One image for every command: `up` by default, `gate`, `notifier` and `decider` in docker-compose.yml.

FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install scripts: what has native parts ships them ready.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run --silent build && rm -r dist/.build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-slim
ENV NODE_ENV=production
COPY --from=build /app/package.json /app/
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
# The working directory: policy.yaml, countersign.yaml, and for `up` the data. A volume takes over owner and mode.
RUN ln -s /app/dist/clients/cli/main.js /usr/local/bin/countersign \
  && install -d /countersign && install -d -o node -g node -m 700 /countersign/.countersign
WORKDIR /countersign
USER node
# Node's own fetch: the image has no curl. docker-compose.yml says it again for the other ports.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:4100/readyz').then(({ ok }) => process.exit(ok ? 0 : 1))"]
# Node is process 1 and handles SIGTERM itself: no shell and no init before it.
ENTRYPOINT ["node", "/app/dist/clients/cli/main.js"]
CMD ["up", "--host", "0.0.0.0"]

